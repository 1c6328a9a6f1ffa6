"""Rewrite the trees of a unit's modules, so that together they are one module."""

import ast

from kassette_host.link.constants import literal
from kassette_host.link.module import Module, Symbol
from kassette_host.link.names import Names, is_real
from kassette_host.link.program import Program, Unit, constant_name


class _Rewriter(ast.NodeTransformer):
    """`imported`: what the unit has imported from outside already."""

    def __init__(self, program: Program, unit: Unit, module: Module, names: Names, imported: set[Symbol]):
        self._program = program
        self._unit = unit
        self._module = module
        self._names = names
        self._imported = imported
        self._scope_of = module.scope_of

    def _target(self, node: ast.AST, name: str) -> Symbol | None:
        return self._program.target(self._module, self._scope_of[node], name)

    def _said(self, symbol: Symbol, node: ast.Name | ast.Attribute) -> ast.expr:
        """A use of a symbol within the unit."""
        if isinstance(node.ctx, ast.Load) and symbol in self._program.constants:
            return literal(self._program.constants[symbol], node)
        return ast.copy_location(ast.Name(self._names[symbol], node.ctx), node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Walk on; a body that lost its last statement gets `pass`."""
        super().generic_visit(node)
        if getattr(node, "body", None) == [] and not isinstance(node, ast.Module):
            node.body = [ast.copy_location(ast.Pass(), node)]  # type: ignore
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        symbol = self._target(node, node.id)
        return self._said(symbol, node) if symbol else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        scope = self._scope_of.get(node.value)
        owner = self._program.owner(self._module, scope, node.value) if scope else None
        if owner is None:
            return self.generic_visit(node)
        return self._said(self._program.member(self._module, node, owner, node.attr), node)

    def _visit_binder(self, node):
        symbol = self._target(node, node.name) if node.name else None
        if symbol:
            node.name = self._names[symbol]
        return self.generic_visit(node)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_ExceptHandler = _visit_binder

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        name = constant_name(node)
        if name and self._scope_of[node.targets[0]] is self._module.scopes.top:
            symbol = Symbol(self._module.name, name)
            if symbol in self._program.constants:
                if not is_real(self._program, self._unit, symbol):
                    return None
                node.value = literal(self._program.constants[symbol], node.value)
        return self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> ast.Global:
        symbols = [self._target(node, name) for name in node.names]
        node.names = [self._names[symbol] if symbol else name for symbol, name in zip(symbols, node.names)]
        return node

    def _visit_import(self, node):
        kept = []
        for alias in node.names:
            item = self._module.by_alias[alias]
            bound = alias.asname or alias.name
            if item.target.module in self._program.merged:
                continue  # what is used of it stands in the unit, or in its first statements
            symbol = self._target(alias, bound)
            if symbol and symbol.module[0] == "@":
                if symbol in self._imported:
                    continue
                self._imported.add(symbol)
            name = self._names[symbol] if symbol else bound
            kept.append(ast.alias(alias.name, name if name != alias.name else None))
        node.names = kept
        return node if kept else None

    visit_Import = visit_ImportFrom = _visit_import


def rewrite(program: Program, unit: Unit, all_names: list[Names]) -> list[tuple[str, ast.stmt]]:
    """The statements of a unit, each with the module that it comes from. `all_names`: of this unit and the ones before."""
    names = all_names[-1]
    imported: set[Symbol] = set()
    statements = []
    for module in unit.modules:
        tree = _Rewriter(program, unit, module, names, imported).visit(module.tree)
        statements += [(module.name, statement) for statement in tree.body]
    for statement in reversed(_from_others(program, unit, all_names)):
        before = [at for at, (_, other) in enumerate(statements) if other.lineno < statement.lineno]
        place = 0 if unit.is_merged or not before else before[-1] + 1
        statements.insert(place, (unit.modules[0].name, statement))
    return statements


def _from_others(program: Program, unit: Unit, all_names: list[Names]) -> list[ast.stmt]:
    """The imports of what a unit uses of the merged units before it."""
    statements: list[ast.stmt] = []
    for other, theirs in zip(program.units, all_names):
        if other is unit or not other.is_merged:
            continue
        aliases = []
        for symbol, name in all_names[-1].items():
            if program.units[program.merged.get(symbol.module, -1)] is other:
                aliases.append(ast.alias(theirs[symbol], name if name != theirs[symbol] else None))
        if aliases:
            node = ast.ImportFrom(other.name, aliases, 0)
            statements.append(ast.copy_location(node, _first_import(program, unit.modules[0])))
    return statements


def _first_import(program: Program, module: Module) -> ast.AST:
    """Where the imports from other units stand: at the first import of something merged that is at the module's top."""
    for item in module.imports:
        if item.target.module in program.merged and item.scope is module.scopes.top:
            return item.statement
    return ast.Pass(lineno=1, col_offset=0, end_lineno=1, end_col_offset=0)
