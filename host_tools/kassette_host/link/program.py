"""All modules of a bundle and the units that they become: what each name refers to, across modules; the constants."""

import ast
from typing import NamedTuple

from kassette_host.link.constants import NotConstant, evaluate
from kassette_host.link.module import Import, Module, Symbol
from kassette_host.link.scopes import Scope


class Unit(NamedTuple):
    """What the bundle holds as one module: some source modules merged, in the order in which they run, or just one."""

    name: str
    modules: list[Module]
    is_merged: bool


class Program:
    """`parts`: name of a merged unit -> its roots, in the order in which the units are imported.

    A part takes its roots and all that they import at their top, as far as no part before it has it.
    """

    def __init__(self, modules: dict[str, Module], parts: dict[str, list[str]]):
        self.modules = modules
        self.units: list[Unit] = []
        self.merged: dict[str, int] = {}  # module -> which unit
        self._loading: list[str] = []
        for name, roots in parts.items():
            self.units.append(Unit(name, [], True))
            for root in roots:
                self._load(root)
        self.units += [Unit(name, [module], False) for name, module in modules.items() if name not in self.merged]
        self.constants: dict[Symbol, object] = {}
        for unit in self.units:
            for module in unit.modules:
                self._find_constants(module)

    def _load(self, name: str) -> None:
        """Append a module to the last unit, behind all that it imports at its top."""
        if name in self.merged:
            return
        if name in self._loading:
            circle = [*self._loading[self._loading.index(name) :], name]
            raise self.modules[name].error(self.modules[name].tree, "a circular import: %s" % " -> ".join(circle))
        self._loading.append(name)
        module = self.modules[name]
        has_run = False
        for statement in module.tree.body:
            if not isinstance(statement, (ast.Import, ast.ImportFrom)):
                has_run = True
                continue
            for item in (module.by_alias[alias] for alias in statement.names):
                if item.target.module in self.modules:
                    if has_run:
                        raise module.error(statement, "an import of %s behind other code" % item.target.module)
                    self._load(item.target.module)
        self._loading.pop()
        self.merged[name] = len(self.units) - 1
        self.units[-1].modules.append(module)

    # --- what a name refers to

    def target(self, module: Module, scope: Scope, name: str) -> Symbol | None:
        """What a use of `name` in `scope` refers to: a symbol of the bundle or of `@outside`, whole modules included.

        None: something local, built in, or imported where it is used; such a name stays as it is.
        """
        home = scope.home(name)
        if home is None:
            return None
        item = module.single_import(home, name)
        if item and item.target.module in self.merged:
            return self.follow(module, item)
        if item and item.scope is module.scopes.top and module.is_at_top(item.statement):
            return self.outside(item)
        return Symbol(module.name, name) if home is module.scopes.top else None

    def outside(self, item: Import) -> Symbol:
        """What an import binds that is not merged: another module of the bundle counts as outside, too."""
        owner, name = item.target
        if owner[0] == "@":
            return item.target
        package, _, last = owner.rpartition(".")
        return Symbol("@" + owner, name) if name else Symbol("@" + package, last)

    def follow(self, module: Module, item: Import) -> Symbol:
        """What an import of something merged stands for in the end."""
        owner, name = item.target
        return self.member(module, item.statement, owner, name) if name else item.target

    def member(self, module: Module, place: ast.AST, owner: str, name: str) -> Symbol:
        """The symbol behind `owner.name`, through re-exports. Raises LinkError, at `place`, when there is none."""
        top = self.modules[owner].scopes.top
        if name not in top.bound:
            raise module.error(place, "%s has no %s" % (owner, name))
        found = self.target(self.modules[owner], top, name)
        assert found
        return found

    def owner(self, module: Module, scope: Scope, node: ast.AST) -> str | None:
        """The merged module that the expression `node` names; None: it is something else."""
        symbol = self.target(module, scope, node.id) if isinstance(node, ast.Name) else None
        return symbol.module if symbol and symbol.name is None and symbol.module in self.merged else None

    def is_late(self, symbol: Symbol) -> bool:
        """Whether a function may bind this name anew, through `global`."""
        return symbol.module in self.modules and symbol.name in self.modules[symbol.module].scopes.late

    # --- constants

    def _find_constants(self, module: Module) -> None:
        """Note the names that are bound once, at the top, to a value known now: their uses become that value."""
        top = module.scopes.top
        for statement in module.tree.body:
            name = constant_name(statement)
            if name is None or len(top.bound[name]) > 1:
                continue
            assert isinstance(statement, ast.Assign)
            call = const_call(statement.value)
            value = call.args[0] if call else statement.value
            try:
                found = evaluate(value, call is not None, lambda node: self._constant(module, node))
            except NotConstant as error:
                if call:
                    raise module.error(statement, str(error)) from error
            else:
                self.constants[Symbol(module.name, name)] = found

    def _constant(self, module: Module, node: ast.Name | ast.Attribute):
        """The value of a name within a constant expression. Raises NotConstant."""
        top = module.scopes.top
        symbol = None
        if isinstance(node, ast.Name):
            symbol = self.target(module, top, node.id)
        else:
            owner = self.owner(module, top, node.value)
            symbol = self.member(module, node, owner, node.attr) if owner else None
        if symbol is None or symbol not in self.constants:
            raise NotConstant("%s is not known when linking" % ast.unparse(node))
        return self.constants[symbol]


def const_call(node: ast.AST) -> ast.Call | None:
    """The expression, if it is `const(..)`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "const":
        return node
    return None


def constant_name(statement: ast.AST) -> str | None:
    """The name that `name = ..` binds; None: it is another statement."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return None
