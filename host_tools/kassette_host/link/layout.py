"""Trees back to source, and each line of it back to where it came from."""

import ast

from kassette_host.link.module import LinkError

Place = tuple[str, int]  # module, line


def render(statements: list[tuple[str, ast.stmt]]) -> tuple[str, list[Place]]:
    """The source of some statements, and for each of its lines the place in the original. No blank lines, no comments.

    What comes out is parsed again and compared with what went in. Raises LinkError if it is not the same program.
    """
    tree = ast.fix_missing_locations(ast.Module([statement for _, statement in statements], []))
    source = "".join(line + "\n" for line in ast.unparse(tree).split("\n") if line)
    again = ast.parse(source)
    _compare(tree, again)
    places: dict[int, Place] = {}
    for (name, before), after in zip(statements, again.body):
        for old, new in zip(ast.walk(before), ast.walk(after)):
            line = getattr(new, "lineno", 0)
            if line:
                at = getattr(old, "lineno", 1)
                places[line] = min(places.get(line, (name, at)), (name, at))
    return source, _fill(places, source.count("\n"))


def _fill(places: dict[int, Place], lines: int) -> list[Place]:
    """A line without a place of its own (`else:`) belongs to the one before."""
    filled = []
    place = ("", 1)
    for line in range(1, lines + 1):
        place = places.get(line, place)
        filled.append(place)
    return filled


def render_in_place(name: str, tree: list[ast.stmt]) -> str:
    """The source of a module with each statement on the line where it was. Raises LinkError as `render`."""
    source, places = render([(name, statement) for statement in tree])
    lines: list[str] = []
    for line, (_, at) in zip(source.split("\n"), places):
        lines += [""] * (at - 1 - len(lines))
        if len(lines) < at or line.strip() in ("else:", "finally:"):
            lines.append(line)
        else:  # they were on one line
            lines[-1] += (" " if lines[-1][-1] == ":" else "; ") + line.strip()
    found = "\n".join(lines) + "\n"
    _compare(ast.Module(tree, []), ast.parse(found))
    return found


def _compare(wanted: ast.Module, found: ast.Module) -> None:
    if ast.dump(wanted) != ast.dump(found):
        raise LinkError("the linked module reads differently when it is parsed again")
