"""Leave out what nobody in the whole bundle ever names: functions, classes, and methods of classes without a base.

A name counts as named wherever it stands in any module, as a name, an attribute, an import or a string: far more than
could be meant, so nothing is lost that is used. Names with two underscores belong to the language.
"""

import ast
from collections import Counter

from kassette_host.link.module import Module

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def shake(modules: list[Module], kept: set[str]) -> list[str]:
    """Remove the definitions from the trees; what went, as `module.name`. `kept`: what is named outside the bundle."""
    gone: list[str] = []
    while True:
        named = Counter(name for module in modules for name in _named(module.tree))
        named.update(kept)
        found = len(gone)
        for module in modules:
            gone += _clear(module.name, module.tree, named)
        if len(gone) == found:
            return gone


def _named(tree: ast.Module):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _clear(place: str, node: ast.Module | ast.ClassDef, named: Counter[str]) -> list[str]:
    gone = []
    for part in list(node.body):
        if not isinstance(part, _DEFINITIONS):
            continue
        is_plain = part.name[:2] != "__" and all(ast.unparse(node) == "property" for node in part.decorator_list)
        if is_plain and not named[part.name]:
            node.body.remove(part)
            gone.append("%s.%s" % (place, part.name))
        elif isinstance(part, ast.ClassDef) and not part.bases:
            gone += _clear("%s.%s" % (place, part.name), part, named)
    if not node.body and isinstance(node, ast.ClassDef):
        node.body = [ast.copy_location(ast.Pass(), node)]
    return gone
