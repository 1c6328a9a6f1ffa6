"""The value of a constant expression, as mpy-cross would know it, and a value as an expression."""

import ast
import operator
from collections.abc import Callable

_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
}
_UNARY = {ast.USub: operator.neg, ast.Invert: operator.invert, ast.UAdd: operator.pos}


class NotConstant(Exception):
    """The expression has to be evaluated on the device."""


def evaluate(node: ast.expr, with_tuples: bool, look_up: Callable):
    """The value of integers and their arithmetic, of a string or bytes literal, and of a tuple if `with_tuples`.

    `look_up(node)` gives the value of a name or an attribute. Raises NotConstant.
    """
    if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, (int, str, bytes))):
        return node.value
    if isinstance(node, (ast.Name, ast.Attribute)):
        return look_up(node)
    if isinstance(node, ast.Tuple) and with_tuples:
        return tuple(evaluate(part, with_tuples, look_up) for part in node.elts)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return _UNARY[type(node.op)](_integer(node.operand, look_up))
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = (_integer(part, look_up) for part in (node.left, node.right))
        try:
            return _BINARY[type(node.op)](left, right)
        except (ValueError, ZeroDivisionError) as error:
            raise NotConstant(str(error)) from error
    raise NotConstant("%s is not known when linking" % ast.unparse(node))


def _integer(node: ast.expr, look_up: Callable) -> int:
    value = evaluate(node, False, look_up)
    if not isinstance(value, int):
        raise NotConstant("%s is not an integer" % ast.unparse(node))
    return value


def literal(value, place: ast.AST) -> ast.expr:
    """A value as an expression that stands at `place`."""
    if isinstance(value, tuple):
        node: ast.expr = ast.Tuple([literal(part, place) for part in value], ast.Load())
    elif type(value) is int and value < 0:
        node = ast.UnaryOp(ast.USub(), ast.copy_location(ast.Constant(-value), place))
    else:
        node = ast.Constant(value)
    return ast.copy_location(node, place)
