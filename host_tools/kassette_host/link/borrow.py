"""A name that the interpreter lacks costs the device a table entry and its letters: borrow one that it has.

Lent (`lent_names.txt`) are names of exceptions, constants and functions that ports have in ROM, and that nobody looks
up on an object of ours. The whole bundle is renamed alike, so nothing changes but the letters; a port without one of
them pays for it as before. A name stays as it is when anything outside the bundle may know it (`outside_names.txt`:
what the ports and their libraries define), when a text in the bundle spells it, when it is a module's, or when it is
used of something that was imported from outside. Measured: 5.2 kB less heap (firmware/docs/memory.md).
"""

import ast
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from kassette_host.link.module import Module

LENT = Path(__file__).with_name("lent_names.txt").read_text().split()
_OUTSIDE = Path(__file__).with_name("outside_names.txt")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def borrow(
    modules: list[Module], kept: Collection[str], lent: Collection[str], order: Mapping[str, int]
) -> dict[str, str]:
    """Rename in the trees of all modules of a bundle; new name -> old name. `kept`: what is asked for from outside.

    Names are served in the `order` of the modules that define them (module's name -> rank, 0 first), the longest first:
    there are not enough for all.
    """
    barred = set(kept) | set(_OUTSIDE.read_text().split())
    named: set[str] = set()
    costly: dict[str, int] = {}
    for module in modules:
        barred.update(module.name.split("."))
        for node in ast.walk(module.tree):
            named.update(_names(node))
            for name in _costly(node):
                costly[name] = min(order.get(module.name, 0), costly.get(name, 99))
            barred.update(_known_outside(module, node))
    asked = [name for name in costly if name not in barred and name[:2] != "__"]
    free = (name for name in lent if name not in named)
    new = dict(zip(sorted(asked, key=lambda name: (costly[name], -len(name), name)), free))
    for module in modules:
        for node in ast.walk(module.tree):
            _rename(node, new)
        module.analyse()
    return {name: old for old, name in new.items()}


def _names(node: ast.AST) -> Iterator[str]:
    """Every name that a node spells itself."""
    for field in ("id", "attr", "arg", "name", "asname"):
        name = getattr(node, field, None)
        if isinstance(name, str):
            yield name
    if isinstance(node, (ast.Global, ast.Nonlocal)):
        yield from node.names


def _costly(node: ast.AST) -> Iterator[str]:
    """Names that a node defines and the device must hold: definitions, attributes and what calls name arguments by."""
    if isinstance(node, _DEFINITIONS):
        yield node.name
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.attr
    elif isinstance(node, ast.arg):
        yield node.arg


def _known_outside(module: Module, node: ast.AST) -> Iterator[str]:
    """Names that a node ties to something outside the bundle, or spells as text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from node.value.replace(".", " ").split()
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            if module.by_alias[alias].target.module[0] == "@":
                yield from alias.name.split(".")
                yield alias.asname or alias.name
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        scope = module.scope_of.get(node.value)
        home = scope.home(node.value.id) if scope else None
        item = module.single_import(home, node.value.id) if home else None
        if item and item.target.module[0] == "@":
            yield node.attr


def _rename(node: ast.AST, new: dict[str, str]) -> None:
    for field in ("id", "attr", "arg", "name", "asname"):
        name = getattr(node, field, None)
        if isinstance(name, str):
            setattr(node, field, new.get(name, name))
    if isinstance(node, (ast.Global, ast.Nonlocal)):
        node.names = [new.get(name, name) for name in node.names]
