"""Which binding does a name refer to? Python's scope rules over an `ast`; judged against `symtable` by the tests.

Function and class scopes nest as in the language reference, section 4.2.2; a comprehension is a function of its own
whose first iterable belongs to the scope around it. Annotations and docstrings must be gone.
"""

import ast

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Scope:
    """One namespace. `bound`: name -> the nodes that bind it here, in the order of the source."""

    def __init__(self, node: ast.AST, parent: "Scope | None"):
        self.node = node
        self.parent = parent
        self.is_class = isinstance(node, ast.ClassDef)
        self.bound: dict[str, list[ast.AST]] = {}
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()

    @property
    def module(self) -> "Scope":
        """The scope of the whole module."""
        return self if self.parent is None else self.parent.module

    def home(self, name: str) -> "Scope | None":
        """The scope whose binding a use of `name` here refers to; None: a built-in name, or nothing at all."""
        if name in self.globals:
            return self.module if name in self.module.bound else None
        if name in self.bound and name not in self.nonlocals:
            return self
        outer = self.parent
        while outer:
            if name in outer.globals:
                return self.module if name in self.module.bound else None
            if name in outer.bound and not outer.is_class and name not in outer.nonlocals:
                return outer
            outer = outer.parent
        return None

    def visible(self) -> list["Scope"]:
        """This scope and the ones around it whose names a use here can see, without the module's."""
        scopes: list[Scope] = [self]
        while scopes[-1].parent:
            scopes.append(scopes[-1].parent)
        return [scope for scope in scopes[:-1] if scope is self or not scope.is_class]


class Scopes(ast.NodeVisitor):
    """All scopes of one module, and each place where a name is used or bound: `uses` holds (node, name, scope)."""

    def __init__(self, tree: ast.Module):
        self.top = self._scope = Scope(tree, None)
        self.all = [self.top]
        self.uses: list[tuple[ast.AST, str, Scope]] = []
        self.late: set[str] = set()  # names of the module that a function binds through `global`
        self._rebound: list[tuple[ast.Nonlocal, str, Scope]] = []
        for statement in tree.body:
            self.visit(statement)
        for node, name, scope in self._rebound:
            home = scope.home(name)
            if home:
                home.bound[name].append(node)

    def _use(self, node: ast.AST, name: str) -> None:
        self.uses.append((node, name, self._scope))

    def _bind(self, node: ast.AST, name: str, scope: Scope | None = None) -> None:
        scope = scope or self._scope
        self.uses.append((node, name, scope))
        home: Scope | None = scope
        if name in scope.globals:
            home = self.top
            self.late.add(name)
        elif name in scope.nonlocals:
            home = None  # bound by the statement itself, in the end
        if home:
            home.bound.setdefault(name, []).append(node)

    def _inside(self, node: ast.AST, bind: list[ast.arg], body: list) -> None:
        self._scope = Scope(node, self._scope)
        self.all.append(self._scope)
        for argument in bind:
            self._bind(argument, argument.arg)
        for part in body:
            self.visit(part)
        assert self._scope.parent
        self._scope = self._scope.parent

    def _visit_function(self, node) -> None:
        for part in [*getattr(node, "decorator_list", []), *node.args.defaults, *node.args.kw_defaults]:
            if part is not None:
                self.visit(part)
        if not isinstance(node, ast.Lambda):
            self._bind(node, node.name)
        spec = node.args
        arguments = [*spec.posonlyargs, *spec.args, spec.vararg, *spec.kwonlyargs, spec.kwarg]
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        self._inside(node, [argument for argument in arguments if argument], body)

    def _visit_comprehension(self, node) -> None:
        first, *rest = node.generators
        self.visit(first.iter)
        parts = [first.target, *first.ifs]
        for generator in rest:
            parts += [generator.target, generator.iter, *generator.ifs]
        parts += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._inside(node, [], parts)

    def visit(self, node: ast.AST) -> None:
        """Dispatch: what opens a scope or binds a name is handled here, all else by walking on."""
        if isinstance(node, _FUNCTIONS):
            self._visit_function(node)
        elif isinstance(node, _COMPREHENSIONS):
            self._visit_comprehension(node)
        else:
            super().visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in [*node.decorator_list, *node.bases, *node.keywords]:
            self.visit(part)
        self._bind(node, node.name)
        self._inside(node, [], node.body)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._use(node, node.id)
        else:
            self._bind(node, node.id)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        scope = self._scope
        while isinstance(scope.node, _COMPREHENSIONS) and scope.parent:
            scope = scope.parent
        self._bind(node.target, node.target.id, scope)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self._bind(node, node.name)
        self.generic_visit(node)

    def visit_alias(self, node: ast.alias) -> None:
        self._bind(node, node.asname or node.name.split(".")[0])

    def visit_Global(self, node: ast.Global) -> None:
        self._scope.globals.update(node.names)
        for name in node.names:
            self._use(node, name)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self._scope.nonlocals.update(node.names)
        self._rebound += [(node, name, self._scope) for name in node.names]
