"""Names that nobody outside a function or a class can see cost the device a table entry and their letters: share a few.

Arguments are renamed when no call anywhere names them; attributes and methods with a leading underscore when the class
has no base, is nobody's base, and the name is only ever reached through the first argument of the class's own methods.
Everything that doubts this keeps its name. One thing is taken for granted: nobody calls `Class.method(other)` with an
object of another class.
"""

import ast
from collections.abc import Iterator
from itertools import count, product
from string import ascii_lowercase

from kassette_host.link.module import LinkError, Module
from kassette_host.link.scopes import Scope

_REFLECTION = ("getattr", "setattr", "hasattr", "delattr")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def short_names() -> Iterator[str]:
    """_a, _b .. _z, _aa .."""
    for length in count(1):
        for letters in product(ascii_lowercase, repeat=length):
            yield "_" + "".join(letters)


def shorten(modules: list[Module]) -> None:
    """Shorten what can be, in the trees of all modules of a bundle. Raises LinkError for reflection that can't be followed."""
    shortener = _Shortener(modules)
    shortener.attributes()
    shortener.arguments()
    for module in modules:
        module.analyse()


class _Shortener:
    """Looks through all modules of a bundle first; what one of them says about a name holds for all."""

    def __init__(self, modules: list[Module]):
        self._modules = modules
        self._keywords: set[str] = set()  # names of arguments in calls
        self._open: set[str] = set()  # attributes that are reached from outside their class, or by their text
        self._bases: set[str] = set()
        self._owned: dict[tuple[Module, ast.ClassDef], dict[str, list[ast.AST]]] = {}
        for module in modules:
            self._look_through(module)

    def _look_through(self, module: Module) -> None:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.keyword):
                self._keywords.add(node.arg or "**")
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._open.add(node.value)
            elif isinstance(node, ast.ClassDef):
                self._bases.update(part.id if isinstance(part, ast.Name) else "" for part in node.bases)
            elif isinstance(node, ast.Call):
                self._check_reflection(module, node)
            elif isinstance(node, ast.Attribute):
                owner = _own_class(module, node)
                if owner:
                    self._note(module, owner, node.attr, node)
                else:
                    self._open.add(node.attr)
        for node, name, scope in module.scopes.uses:
            if isinstance(scope.node, ast.ClassDef) and scope.home(name) is scope:
                self._note(module, scope.node, name, node)

    def _note(self, module: Module, owner: ast.ClassDef, name: str, node: ast.AST) -> None:
        self._owned.setdefault((module, owner), {}).setdefault(name, []).append(node)

    def _check_reflection(self, module: Module, node: ast.Call) -> None:
        if not isinstance(node.func, ast.Name) or node.func.id not in _REFLECTION:
            return
        if any(isinstance(part, (ast.BinOp, ast.JoinedStr, ast.Call)) for part in ast.walk(node.args[1])):
            raise module.error(node, "%s with a name that is made up at run time" % node.func.id)

    def attributes(self) -> None:
        """Rename private attributes and methods, class by class."""
        for (_, owner), names in self._owned.items():
            if owner.bases or owner.decorator_list or owner.name in self._bases or "" in self._bases:
                continue
            if "__getattr__" in names or "__setattr__" in names:
                continue
            free = (name for name in short_names() if name not in self._open and name not in names)
            for name, nodes in names.items():
                if name[0] == "_" and name[:2] != "__" and name not in self._open:
                    new = next(free)
                    for node in nodes:
                        _rename(node, new)

    def arguments(self) -> None:
        """Rename positional arguments."""
        if "**" in self._keywords:
            raise LinkError("a call with ** somewhere: nobody can say which arguments it names")
        for module in self._modules:
            used = {name for _, name, _ in module.scopes.uses}
            given: dict[Scope, list[str]] = {}
            for scope in module.scopes.all:
                if isinstance(scope.node, (*_FUNCTIONS, ast.Lambda)):
                    taken = [name for outer in scope.visible() for name in given.get(outer, [])]
                    free = (name for name in short_names() if name not in used and name not in taken)
                    given[scope] = list(self._rename_arguments(module, scope, free))

    def _rename_arguments(self, module: Module, scope: Scope, free: Iterator[str]) -> Iterator[str]:
        for argument in [*scope.node.args.posonlyargs, *scope.node.args.args]:  # type: ignore[attr-defined]
            old = argument.arg
            if old in self._keywords or old == "self":
                continue
            new = next(free)
            for node, name, inner in module.scopes.uses:
                if name == old and inner.home(old) is scope:
                    _rename(node, new, old)
            yield new


def _own_class(module: Module, node: ast.Attribute) -> ast.ClassDef | None:
    """The class whose method reaches `self.name` here, through its own first argument."""
    if not isinstance(node.value, ast.Name):
        return None
    scope = module.scope_of.get(node.value)
    home = scope.home(node.value.id) if scope else None
    method = home.node if home else None
    if not home or not isinstance(method, _FUNCTIONS) or not home.parent or not home.parent.is_class:
        return None
    if any(isinstance(part, ast.Name) and part.id in ("staticmethod", "classmethod") for part in method.decorator_list):
        return None
    first = method.args.args[0] if method.args.args else None
    if not first or first.arg != node.value.id or len(home.bound[first.arg]) > 1:
        return None
    assert isinstance(home.parent.node, ast.ClassDef)
    return home.parent.node


def _rename(node: ast.AST, new: str, old: str = "") -> None:
    if isinstance(node, ast.Attribute):
        node.attr = new
    elif isinstance(node, ast.Name):
        node.id = new
    elif isinstance(node, ast.arg):
        node.arg = new
    elif isinstance(node, ast.Nonlocal):
        node.names = [new if name == old else name for name in node.names]
    elif isinstance(node, (*_FUNCTIONS, ast.ClassDef, ast.ExceptHandler)):
        node.name = new
    elif isinstance(node, ast.alias):
        node.asname = new
