"""One module as the linker sees it: its tree without what the device never runs, its scopes, its imports."""

import ast
from collections.abc import Collection, Iterator
from typing import NamedTuple

from kassette_host.link.scopes import Scope, Scopes


class LinkError(Exception):
    """The linker can't prove that the merged module would mean the same. The text begins with file and line."""


class Symbol(NamedTuple):
    """A name at the top of a module; of `@struct` the name `pack` is imported from outside the bundle.

    The name None stands for the module itself.
    """

    module: str
    name: str | None


class Import(NamedTuple):
    """One name of one import statement."""

    alias: ast.alias
    statement: ast.Import | ast.ImportFrom
    scope: Scope
    target: Symbol


class Module:
    """`bundle`: the dotted names of all modules in the bundle; `loaded`: of those that are there before it is mounted."""

    def __init__(self, name: str, source: str, path: str, bundle: Collection[str], loaded: Collection[str] = ()):
        self.name = name
        self.path = path
        try:
            self.tree = ast.parse(source, path)
        except SyntaxError as error:
            raise LinkError("%s:%s: %s" % (path, error.lineno, error.msg)) from error
        _Lean(self).visit(self.tree)
        self._bundle = bundle
        self._loaded = loaded
        self.analyse()

    def analyse(self) -> None:
        """Find out about scopes and imports, again after the tree was changed."""
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.scopes = Scopes(self.tree)
        self.scope_of: dict[ast.AST, Scope] = {node: scope for node, _, scope in self.scopes.uses}
        self.imports = list(self._imports())
        self.by_alias = {item.alias: item for item in self.imports}

    def error(self, node: ast.AST, text: str) -> LinkError:
        """What to raise about a place in this module."""
        return LinkError("%s:%d: %s" % (self.path, getattr(node, "lineno", 1), text))

    def _imports(self) -> Iterator[Import]:
        for alias, _, scope in self.scopes.uses:
            if not isinstance(alias, ast.alias):
                continue
            statement = self.parents[alias]
            assert isinstance(statement, (ast.Import, ast.ImportFrom))
            if isinstance(statement, ast.ImportFrom):
                target = self._from(alias, statement)
            else:
                target = self._plain(alias, statement)
            yield Import(alias, statement, scope, target)

    def _from(self, alias: ast.alias, statement: ast.ImportFrom) -> Symbol:
        if statement.level or not statement.module:
            raise self.error(statement, "a relative import")
        if alias.name == "*":
            raise self.error(statement, "a star import: nobody can say which names it binds")
        submodule = "%s.%s" % (statement.module, alias.name)
        if submodule in self._bundle:
            return Symbol(submodule, None)
        if statement.module in self._bundle:
            return Symbol(statement.module, alias.name)
        is_loaded = submodule in self._loaded or statement.module in self._loaded
        if not is_loaded and any(name.startswith(statement.module + ".") for name in self._bundle):
            raise self.error(statement, "%s is not in the bundle" % submodule)
        return Symbol("@" + statement.module, alias.name)

    def _plain(self, alias: ast.alias, statement: ast.Import) -> Symbol:
        tops = {name.split(".")[0] for name in self._bundle}
        if alias.name.split(".")[0] in tops:
            raise self.error(statement, "import %s: write from .. import .., whose uses can be followed" % alias.name)
        if "." in alias.name and not alias.asname:
            raise self.error(statement, "import %s binds a package: write from .. import .." % alias.name)
        return Symbol("@" + alias.name, None)

    def is_at_top(self, node: ast.AST) -> bool:
        """Whether a statement always runs, once, when the module is imported."""
        return self.parents[node] is self.tree

    def single_import(self, scope: Scope, name: str) -> Import | None:
        """The import that alone gives `name` its meaning in `scope`; None: it is bound otherwise, or more than once."""
        nodes = scope.bound[name]
        node = nodes[0]
        return self.by_alias[node] if len(nodes) == 1 and isinstance(node, ast.alias) else None


class _Lean(ast.NodeTransformer):
    """Drop docstrings and annotations: MicroPython evaluates neither. Refuse what it does not know either."""

    def __init__(self, module: Module):
        self._module = module
        self._is_function = False

    def _body(self, node):
        around = self._is_function
        self._is_function = not isinstance(node, (ast.Module, ast.ClassDef))
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:]
        self.generic_visit(node)
        if not node.body and not isinstance(node, ast.Module):
            node.body = [ast.copy_location(ast.Pass(), first or node)]
        self._is_function = around
        return node

    visit_Module = visit_ClassDef = _body

    def _function(self, node):
        if not any(isinstance(part, ast.Attribute) and part.attr == "viper" for part in node.decorator_list):
            node.returns = None  # to viper, annotations are types
            for argument in ast.walk(node.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
        return self._body(node)

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def visit_AnnAssign(self, node: ast.AnnAssign):
        if node.value is None:
            if self._is_function and isinstance(node.target, ast.Name):
                raise self._module.error(node, "an annotation that makes a name local")
            return None
        return self.generic_visit(ast.copy_location(ast.Assign([node.target], node.value), node))

    def _unknown(self, node):
        raise self._module.error(node, "MicroPython does not know %s" % type(node).__name__)

    visit_Match = visit_TryStar = _unknown
