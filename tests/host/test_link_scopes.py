"""The linker's view of scopes against CPython's own symbol table, for every name of every module of the firmware."""

import ast
import symtable

import pytest

from kassette_host import bundle
from kassette_host.link.module import Module
from kassette_host.link.scopes import Scope, Scopes

_NAMES = {ast.Lambda: "lambda", ast.ListComp: "listcomp", ast.SetComp: "setcomp", ast.DictComp: "dictcomp"}
_NAMES[ast.GeneratorExp] = "genexpr"

TRICKY = """
x = y = 1
class C(dict):
    x = 2
    y = [x for x in range(y)]
    def m(self, z=x, *a, k=y, **kw):
        global g
        g = [x + z + i for i in a for j in kw]
        def inner():
            nonlocal z
            z = (lambda q, x=x: q + x + y)(z)
            return {i: g for i in (y, z)}
        return inner, C
    x = m
def f():
    try:
        import os, sys as s
        from a import b as c
    except (OSError, E) as e:
        del e
    for i, (j, *k) in s: pass
    with c() as (n, o.p): q[i] = r.s = t = u = yield v
    def g(): return i, g, f
    x = 3
    while (w := x): m = w
    return [[i for i in j] for j in k if m], m
async def h(*, a):
    async for i in a: await i
    return {b async for b in a if a}
"""


def ours(scopes: Scopes) -> dict:
    """(kind, line, name) -> how that name is meant in that scope."""
    found: dict = {}
    for _, name, scope in scopes.uses:
        home = scope.home(name)
        meant = "local" if home is scope else "global" if home in (None, scopes.top) else "free"
        found.setdefault((_kind(scope), getattr(scope.node, "lineno", 0), name), set()).add(meant)
    return found


def _kind(scope: Scope) -> str:
    return _NAMES.get(type(scope.node)) or getattr(scope.node, "name", "top")


def theirs(table: symtable.SymbolTable, found: dict) -> dict:
    """The same from CPython, for all scopes but the module's own, in which every name is the module's."""
    for symbol in table.get_symbols():
        is_hidden = symbol.get_name()[0] == "." or symbol.get_name() == "__class__"  # the compiler's own
        if table.get_type() != "module" and not is_hidden:
            meant = "free" if symbol.is_free() else "local" if symbol.is_local() else "global"
            found.setdefault((table.get_name(), table.get_lineno(), symbol.get_name()), set()).add(meant)
    for child in table.get_children():
        theirs(child, found)
    return found


def compare(source: str) -> None:
    expected = theirs(symtable.symtable(source, "x", "exec"), {})
    found = ours(Scopes(ast.parse(source)))
    assert {key: meant for key, meant in found.items() if key[0] != "top"} == expected


@pytest.mark.parametrize("name", sorted(bundle.sources("sim")))
def test_every_name_is_meant_as_cpython_says(name):
    module = Module("m", bundle.strip(bundle.sources("sim")[name].read_text()), name, ())
    compare(ast.unparse(module.tree))


def test_a_tricky_module():
    compare(TRICKY)


def test_the_comparison_bites():
    wrong = Scopes(ast.parse(TRICKY))
    del next(scope for scope in wrong.all if _kind(scope) == "f").bound["i"]
    assert ours(wrong) != ours(Scopes(ast.parse(TRICKY)))
