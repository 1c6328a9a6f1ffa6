"""From the sources of a bundle's modules to those of the linked bundle."""

from collections.abc import Collection
from typing import NamedTuple

from kassette_host.link import layout
from kassette_host.link.borrow import borrow
from kassette_host.link.check import check
from kassette_host.link.layout import Place
from kassette_host.link.module import Module, Symbol
from kassette_host.link.names import Names, assign
from kassette_host.link.program import Program
from kassette_host.link.rewrite import rewrite
from kassette_host.link.shake import shake
from kassette_host.link.shorten import shorten


class Linked(NamedTuple):
    """`sources`: dotted name -> source of each unit. `groups`, `places`: of a merged one, its modules and its lines.

    `gone`: what was left out, because nothing in the bundle names it.
    """

    sources: dict[str, str]
    groups: dict[str, list[str]]
    places: dict[str, list[Place]]
    gone: list[str]


def link(
    sources: dict[str, str],
    parts: dict[str, list[str]],
    exports: dict[tuple[str, str], str],
    paths: dict[str, str] | None = None,
    loaded: Collection[str] = (),
    lent: Collection[str] = (),
    rare: Collection[str] = (),
) -> Linked:
    """Merge modules into the units `parts` (see `Program`); the others stay by themselves and use what was merged.

    `sources`: dotted name -> source of every module in the bundle. `exports`: (module, name) -> the name that it must
    have in its unit. `paths`: dotted name -> file, for messages. `loaded`: modules that are in memory before the
    bundle is mounted. `lent`: names that the interpreter has in ROM (`link.borrow`); `rare`: modules that get them last.
    Raises LinkError.
    """
    paths = paths or {}
    modules = {
        name: Module(name, source, paths.get(name, name.replace(".", "/") + ".py"), sources, loaded)
        for name, source in sources.items()
    }
    program = Program(modules, parts)
    for module in modules.values():
        check(program, module)
    everything = list(modules.values())
    gone = shake(everything, {name for _, name in exports})
    shorten(everything)
    merged = {module.name for unit in program.units if unit.is_merged for module in unit.modules}
    order = {name: 0 if name in merged else 2 if name in rare else 1 for name in modules}
    borrow(everything, {name for _, name in exports}, lent, order)
    program = Program(modules, parts)
    linked = Linked({}, {}, {}, gone)
    fixed = {Symbol(*symbol): name for symbol, name in exports.items()}
    all_names: list[Names] = []
    for unit in program.units:
        all_names = [*all_names[: len(parts)], assign(program, unit, fixed)]
        statements = rewrite(program, unit, all_names)
        if unit.is_merged:
            linked.sources[unit.name], linked.places[unit.name] = layout.render(statements)
            linked.groups[unit.name] = [module.name for module in unit.modules]
        else:
            linked.sources[unit.name] = layout.render_in_place(unit.name, [node for _, node in statements])
    return linked
