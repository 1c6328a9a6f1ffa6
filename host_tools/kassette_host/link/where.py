"""A line of a linked module back to the line that somebody wrote.

A traceback names `kassette.core`, which exists only within the bundle; the build leaves its map behind
(`.build/<board>/core.map`: line, module, line). A module that was not merged keeps its line numbers.
"""

import ast
import pathlib
import re

from kassette_host import BUILD, ROOT
from kassette_host.link.layout import Place

_PLACE = re.compile(
    r"""(?:File ")?(?P<name>[a-z0-9_]+(?:[/.][a-z0-9_]+)+?)(?:\.py)?(?::|", line )(?P<line>\d+)(?:, in [\w<>]+)?"""
)


def write_maps(folder: pathlib.Path, places: dict[str, list[Place]]) -> None:
    """Leave one map per merged module in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for unit, lines in places.items():
        text = "".join("%d %s:%d\n" % (number, *place) for number, place in enumerate(lines, 1))
        target = folder / (unit.rsplit(".", 1)[-1] + ".map")
        part = target.with_suffix(".part")
        part.write_text(text)
        part.replace(target)


def explain(text: str, board: str, files: dict[str, pathlib.Path]) -> str:
    """`text`, a place or a whole traceback, with each place in the bundle as a place in the source tree.

    `files`: path in the bundle, without its ending -> source file. A place that no map knows stays as it is.
    """
    return _PLACE.sub(lambda match: _explain_one(match, BUILD / board, files), text)


def _explain_one(match: re.Match, maps: pathlib.Path, files: dict[str, pathlib.Path]) -> str:
    name = match["name"].replace(".", "/")
    line = int(match["line"])
    found = maps / (name.rsplit("/", 1)[-1] + ".map")
    if "/" + name not in files and found.exists():
        lines = found.read_text().split("\n")
        if 0 < line < len(lines):
            module, _, number = lines[line - 1].split(" ")[1].rpartition(":")
            name, line = module.replace(".", "/"), int(number)
    path = files.get("/" + name)
    return "%s:%d%s" % (path.relative_to(ROOT), line, _context(path, line)) if path else match[0]


def _context(path: pathlib.Path, line: int) -> str:
    """The function around a line, and the line itself."""
    source = path.read_text()
    text = source.split("\n")[line - 1].strip() if line <= source.count("\n") else ""
    around = [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return (" in " + ".".join(around) if around else "") + ": " + text
