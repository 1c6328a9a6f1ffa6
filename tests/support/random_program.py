"""Random programs of a few modules that use few names, so that everything collides with everything."""

import random

_NAMES = ["a", "b", "c", "d", "_e", "_f", "sum", "text"]
_DEPTH = 2
_RUN = """
def show(what):
    try:
        print(what() if callable(what) else what)
    except (NameError, AttributeError, TypeError, RuntimeError):
        print("error")  # a name that a later line of the function makes local, say: such a program must fail as before
def run():
    for shown in (%s): show(shown)
"""


class _Scope:
    """What can be read here: expression -> whether it is a plain name."""

    def __init__(self, values: dict[str, bool], callables: list[str]):
        self.values = values
        self.callables = callables


class _Writer:
    def __init__(self, seed: int):
        self.draw = random.Random(seed)
        self.exports: dict[str, tuple[list[str], list[str]]] = {}  # module -> names of values, of functions

    def value(self, scope: _Scope) -> str:
        """An expression that is an integer."""
        draw = self.draw
        choice = draw.randrange(7)
        if choice < 3 and scope.values:
            return draw.choice(sorted(scope.values))
        if choice == 3 and scope.callables:
            return "%s(%d)" % (draw.choice(scope.callables), draw.randrange(5))
        if choice == 4:
            name = draw.choice(_NAMES)
            return "[%s + %s for %s in (1, 2)][1]" % (name, self.plain(self.hide(scope, name)), name)
        if choice == 5:
            return "(lambda %s: %s + 1)(%s)" % (*[draw.choice(_NAMES)] * 2, self.plain(scope))
        return "max(%s, %d)" % (self.plain(scope), draw.randrange(9))

    def plain(self, scope: _Scope) -> str:
        return self.draw.choice([*sorted(scope.values), "3"])

    def function(self, name: str, scope: _Scope, indent: str, depth: int = 0, is_method: bool = False) -> list[str]:
        argument = self.draw.choice(_NAMES)
        inner = self.hide(scope, argument)
        inner.values[argument] = True
        lines = ["%sdef %s(%s%s):" % (indent, name, "self, " if is_method else "", argument)]
        local = self.draw.choice([n for n in _NAMES if n != argument])
        body = indent + "    "
        inner = self.hide(inner, local)
        lines.append("%s%s = %s" % (body, local, self.value(inner)))
        inner.values[local] = True
        if depth < _DEPTH and self.draw.random() < 0.4:
            nested = self.draw.choice([n for n in _NAMES if n not in (argument, local)])
            lines += self.function(nested, self.hide(inner, nested), body, depth + 1)
            inner = self.hide(inner, nested)
            inner.callables.append(nested)
        lines.append("%sreturn %s + %s" % (body, self.value(inner), self.plain(inner)))
        return lines

    def hide(self, scope: _Scope, name: str) -> _Scope:
        """The same without what a local `name` hides."""
        values = {k: v for k, v in scope.values.items() if k.split(".")[0] != name}
        return _Scope(values, [call for call in scope.callables if call.split(".")[0] != name])

    def imports(self, module: str) -> tuple[list[str], _Scope, set[str]]:
        """Imports of what earlier modules have, as modules and as names, under their own or another name."""
        lines: list[str] = []
        scope = _Scope({}, [])
        used: set[str] = set()
        for other in self.exports:
            values, functions = self.exports[other]
            bound = self.draw.choice([*_NAMES, other])
            if self.draw.random() < 0.7 and bound not in used:
                used.add(bound)
                lines.append("from p import %s%s" % (other, "" if bound == other else " as " + bound))
                scope.values |= {"%s.%s" % (bound, value): False for value in values}
                scope.callables += ["%s.%s" % (bound, function) for function in functions]
            for name in [*values, *functions]:
                bound = self.draw.choice(_NAMES)
                if self.draw.random() < 0.4 and bound not in used:
                    used.add(bound)
                    lines.append("from p.%s import %s%s" % (other, name, "" if bound == name else " as " + bound))
                    if name in values:
                        scope.values[bound] = True
                    else:
                        scope.callables.append(bound)
        return lines, scope, used

    def module(self, module: str) -> str:
        lines, scope, used = self.imports(module)
        values, functions = [], []
        free = [name for name in _NAMES if name not in used]
        self.draw.shuffle(free)
        for name in free[:5]:
            kind = self.draw.randrange(4)
            if kind == 0:
                lines.append("%s = %s" % (name, self.value(_Scope(scope.values, []))))
                values.append(name)
                scope.values[name] = True
            elif kind == 1 and name[0] == "_":
                lines.append("%s = const(%d)" % (name.upper(), self.draw.randrange(20)))
                scope.values[name.upper()] = True
            elif kind == 2:
                lines += ["class %s:" % name.upper(), "    %s = 1" % name]
                lines += self.function(name + "_m", scope, "    ", is_method=True)
                lines += ["def %s(%s): return %s().%s_m(%s)" % (name, name, name.upper(), name, name)]
                functions.append(name)
                scope.callables.append(name)
            else:
                lines += self.function(name, scope, "")
                functions.append(name)
                scope.callables.append(name)
        self.exports[module] = ([v for v in values if v[0] != "_"], [f for f in functions if f[0] != "_"])
        if module == "main":
            lines.append(
                _RUN % ", ".join([*sorted(scope.values), *("lambda: %s(2)" % call for call in scope.callables), "0"])
            )
        return "\n".join(lines) + "\n"


def random_program(seed: int) -> dict[str, str]:
    """Module name -> source: `main`, whose `run` prints all it can see, and some that it may use."""
    writer = _Writer(seed)
    return {name: writer.module(name) for name in ("x", "y", "z", "main")}
