"""A name for everything at the top of a unit: the old one where possible, else with a short suffix."""

from collections.abc import Iterator
from itertools import count

from kassette_host.link.module import LinkError, Module, Symbol
from kassette_host.link.program import Program, Unit
from kassette_host.link.shorten import short_names

Names = dict[Symbol, str]


def assign(program: Program, unit: Unit, exports: Names) -> Names:
    """A distinct name for each symbol that the unit binds or uses; those of `exports` are given theirs."""
    hidden: dict[Symbol, set[str]] = {}  # symbol -> the local names that would hide it somewhere
    taken = {"const"}
    for module in unit.modules:
        for name in module.scopes.top.bound:
            symbol = program.target(module, module.scopes.top, name)
            if symbol and is_real(program, unit, symbol):
                hidden.setdefault(symbol, set())
        _collect(program, unit, module, taken, hidden)
    names: Names = {}
    for symbol in hidden:
        fixed = exports.get(symbol)
        if not unit.is_merged and symbol.module == unit.name and str(symbol.name)[0] != "_":
            fixed = symbol.name  # a module that stays by itself is used by its names
        if fixed:
            if fixed in taken or fixed in hidden[symbol]:
                raise LinkError("%s.%s can't be exported as %s" % (symbol.module, symbol.name, fixed))
            names[symbol] = fixed
            taken.add(fixed)
    for symbol in hidden:
        if symbol not in names:
            names[symbol] = next(n for n in _candidates(symbol) if n not in taken and n not in hidden[symbol])
            taken.add(names[symbol])
    return names


def is_real(program: Program, unit: Unit, symbol: Symbol) -> bool:
    """Whether a symbol exists in this unit on the device: neither a constant nor a merged module."""
    if symbol in program.constants:
        return not unit.is_merged and symbol.module == unit.name and str(symbol.name)[0] != "_"
    return symbol.name is not None or symbol.module not in program.merged


def _candidates(symbol: Symbol) -> Iterator[str]:
    base = symbol.name or symbol.module[1:].rsplit(".", 1)[-1]
    if base[0] == "_":
        yield from short_names()
    yield base
    for number in count(2):
        yield "%s%d" % (base, number)


def _collect(program: Program, unit: Unit, module: Module, taken: set[str], hidden: dict[Symbol, set[str]]) -> None:
    """Note the built-in names that a module uses, what it uses of others, and who might hide that from it."""
    for node, name, scope in module.scopes.uses:
        if scope.home(name) is None:
            taken.add(name)
            continue
        symbol = program.target(module, scope, name)
        if program.owner(module, scope, node):
            parent = module.parents[node]
            symbol = program.member(module, parent, symbol.module, parent.attr)  # type: ignore
        if symbol is None or not is_real(program, unit, symbol):
            continue
        around = hidden.setdefault(symbol, set())
        for visible in scope.visible():
            around.update(local for local in visible.bound if program.target(module, visible, local) is None)
