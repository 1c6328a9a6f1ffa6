"""What the linker refuses, because nobody could prove that it means the same in a merged module."""

import ast

from kassette_host.link.module import Import, Module
from kassette_host.link.program import Program, const_call, constant_name
from kassette_host.link.scopes import Scope

_REFLECTION = {"globals", "locals", "vars", "dir", "eval", "exec", "execfile", "compile", "__import__"}


def check(program: Program, module: Module) -> None:
    """Raises LinkError about the first construct of a module of the bundle that linking might change."""
    for item in module.imports:
        _check_import(program, module, item)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in program.merged:
            raise module.error(node, "the name of the merged module %s as a string" % node.value)
    for node, name, scope in module.scopes.uses:
        if isinstance(node, ast.Name):
            _check_module_use(program, module, node, scope)
            _check_import_time(program, module, node, scope)
        _check_name(module, node, name, scope, module.name in program.merged)
    _check_consts(module)


def _check_import(program: Program, module: Module, item: Import) -> None:
    owner, name = item.target
    bound = item.alias.asname or item.alias.name
    is_top = item.scope is module.scopes.top
    if owner not in program.modules:
        return
    if is_top and not module.is_at_top(item.statement):
        raise module.error(item.statement, "a conditional import of %s" % owner)
    if owner not in program.merged:
        if name is not None:
            _check_member(program, module, item.statement, owner, name)
        return
    if module.single_import(item.scope, bound) is not item:
        raise module.error(item.statement, "%s is imported from a merged module and bound once more" % bound)
    if program.merged[owner] > program.merged.get(module.name, len(program.units)):
        raise module.error(item.statement, "%s is merged into a later unit" % owner)
    if name is None:
        return
    symbol = program.member(module, item.statement, owner, name)
    if program.is_late(symbol):
        raise module.error(item.statement, "%s.%s changes by `global`: import the module" % (owner, name))


def _check_member(program: Program, module: Module, place: ast.AST, owner: str, name: str) -> None:
    """A module that stays by itself keeps the names of what it defines, not of what it imports nor what is private."""
    other = program.modules[owner]
    if name not in other.scopes.top.bound:
        raise module.error(place, "%s has no %s" % (owner, name))
    if name[0] == "_" or other.single_import(other.scopes.top, name):
        raise module.error(place, "%s.%s is private to its module, or imported there" % (owner, name))


def _check_module_use(program: Program, module: Module, node: ast.Name, scope: Scope) -> None:
    """A merged module may only be asked for its members, another one for those that it keeps."""
    owner = program.owner(module, scope, node)
    parent = module.parents[node]
    if owner is None:
        home = scope.home(node.id)
        item = module.single_import(home, node.id) if home else None
        if (
            item
            and item.target.name is None
            and item.target.module in program.modules
            and isinstance(parent, ast.Attribute)
        ):
            _check_member(program, module, parent, item.target.module, parent.attr)
        return
    if not isinstance(parent, ast.Attribute) or not isinstance(parent.ctx, ast.Load):
        raise module.error(node, "the merged module %s as a value" % owner)
    symbol = program.member(module, parent, owner, parent.attr)
    if program.is_late(symbol) and program.merged[owner] != program.merged.get(module.name):
        raise module.error(node, "%s.%s changes by `global`, in another unit" % (owner, parent.attr))


def _check_import_time(program: Program, module: Module, node: ast.Name, scope: Scope) -> None:
    """What is imported from outside once for all modules of a unit must not change between two of them."""
    parent = module.parents[node]
    if scope is not module.scopes.top or not isinstance(parent, ast.Attribute) or isinstance(parent.ctx, ast.Load):
        return
    symbol = program.target(module, scope, node.id)
    if symbol and symbol.module[0] == "@":
        raise module.error(node, "%s is changed while modules are imported" % node.id)


def _check_name(module: Module, node: ast.AST, name: str, scope: Scope, is_merged: bool) -> None:
    home = scope.home(name)
    if name[:2] == "__" and not (home and home.is_class) and is_merged:
        raise module.error(node, "%s: its meaning depends on the module" % name)
    if home is None and name in _REFLECTION:
        raise module.error(node, "%s: it sees the names of the module" % name)
    if home is module.scopes.top and isinstance(node, ast.Name) and isinstance(node.ctx, ast.Del):
        raise module.error(node, "del of a module's name")
    if isinstance(node, ast.Global) and home and module.single_import(home, name):
        raise module.error(node, "global %s, which is imported" % name)
    is_load = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    if is_load and scope.is_class and home is scope and scope.parent and scope.parent.home(name):
        raise module.error(node, "%s is the class's or the module's, by the order of execution" % name)


def _check_consts(module: Module) -> None:
    """`const` belongs at the top: mpy-cross replaces such a name in the whole file, whatever its scope."""
    for node, name, _ in module.scopes.uses:
        if name != "const":
            continue
        call = module.parents[node]
        statement = module.parents.get(call, call)
        constant = constant_name(statement)
        if not const_call(call) or constant is None or not module.is_at_top(statement):
            raise module.error(node, "const() that is not alone at the top of the module")
        if any(constant in scope.bound for scope in module.scopes.all if scope is not module.scopes.top):
            raise module.error(node, "the constant %s is also a name within a function or class" % constant)
        if len(module.scopes.top.bound[constant]) > 1:
            raise module.error(node, "the constant %s is bound once more" % constant)
