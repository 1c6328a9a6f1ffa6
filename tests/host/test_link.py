"""The linker: what it merges means the same on both runtimes, rule by rule; what it can't prove it refuses."""

import ast
import textwrap

import pytest
from linking import means_the_same, merge, trace

from kassette_host.link import LinkError, link

# --- whose name is it


def test_locals_arguments_attributes_and_keywords_are_not_the_modules_names():
    means_the_same(
        {
            "tools": """
                text = "tools"
                def fill(text, *, size=1): return text * size
                def shout(): return text.upper()
                class Box:
                    def __init__(self, text): self.text = text
                """,
            "main": """
                from p import tools
                from p.tools import Box, fill
                text = "main"
                def local():
                    text = "local"
                    return text
                def run():
                    box = Box(text="box")
                    print(text, local(), fill("a", size=3), tools.shout(), box.text, tools.text)
                """,
        }
    )


def test_a_local_name_never_hides_what_a_merged_name_stands_for():
    linked = means_the_same(
        {
            "money": "def text(minor): return '%d.%02d' % (minor // 100, minor % 100)",
            "main": """
                from p import money
                def run():
                    text = "local"
                    def inner(): return money.text(1234) + text
                    print(text, money.text(5), inner(), [money.text(n) for text in "ab" for n in (1,)])
                """,
        }
    )
    assert "def text2(" in linked.sources["p.core"]


def test_class_bodies_methods_and_module_functions_of_the_same_name():
    means_the_same(
        {
            "slip": """
                def sale(n): return "function %d" % n
                LIMIT = 3
                class Slip:
                    LIMIT = 4
                    table = (1, 2)
                    def sale(self, n): return "method %d %s" % (n, sale(n))
                    def limit(self): return LIMIT, self.LIMIT
                """,
            "main": """
                from p.slip import LIMIT, Slip
                from p import slip
                class Other:
                    sale = slip.sale(9)
                    kept = LIMIT
                def run():
                    print(Slip().sale(1), Slip().limit(), Slip.table, Other.sale, Other.kept, slip.sale(2))
                """,
        }
    )


def test_comprehensions_lambdas_defaults_and_walrus():
    means_the_same(
        {
            "a": "x = 10\ny = [1, 2]\ndef f(v=x, w=len(y)): return v + w",
            "main": """
                from p.a import f, x, y
                n = 5
                def run():
                    print([x for x in y], [x + n for n in y], sorted({x: n for x in y}.items()), sum(v for v in y if v < x))
                    print((lambda x, n=n: x + n)(1), (lambda: x)(), f(), f(w=1))
                    if (m := n + x) > 3:
                        print(m)
                """,
        }
    )


def test_closures_nonlocal_and_names_bound_by_statements():
    means_the_same(
        {
            "a": "def error(): return 'function error'\ni = 'module i'\nclass Bad(Exception): pass",
            "main": """
                from p import a
                from p.a import Bad
                def counter():
                    n = 0
                    def step():
                        nonlocal n
                        n += 1
                        return n
                    return step
                def run():
                    step = counter()
                    step()
                    try:
                        raise Bad(1)
                    except Bad as error:
                        print(error.args, a.error())
                    for i in range(2):
                        pass
                    print(step(), i, a.i)
                """,
        }
    )


def test_state_behind_global_is_one_state():
    linked = means_the_same(
        {
            "log": """
                _lines = []
                count = 0
                def say(line):
                    global count
                    count += 1
                    _lines.append(line)
                def lines(): return _lines
                """,
            "other": "from p import log\ncount = 'mine'\ndef work():\n    log.say('b')\n    return log.count, count",
            "main": """
                from p import log, other
                def run():
                    log.say("a")
                    print(other.work(), log.count, log.lines())
                """,
        }
    )
    assert "global count" in linked.sources["p.core"]


def test_the_same_names_in_many_modules():
    means_the_same(
        {
            "a": """
                _T = {}
                def pack(v): return _put('a', v)
                def _put(k, v):
                    _T[k] = v
                    return 'a', v
                class Box: kind = 'a'
                """,
            "b": """
                _T = []
                def pack(v): return _put(v)
                def _put(v):
                    _T.append(v)
                    return 'b', v
                class Box: kind = 'b'
                """,
            "main": """
                from p import a, b
                from p.a import Box
                from p.b import Box as Other, pack as second
                def pack(): return "main"
                def run():
                    print(a.pack(1), b.pack(2), second(3), pack(), Box.kind, Other.kind, b.Box is Other, a._T, b._T)
                """,
        }
    )


def test_private_names_of_modules_become_short():
    linked = merge(
        {
            "a": "_table_of_a = []\ndef _put(v): _table_of_a.append(v)\ndef f(v): _put(v)",
            "main": "from p.a import f\ndef run(): f(1)",
        }
    )
    assert "_table_of_a" not in linked.sources["p.core"]
    assert "_put" not in linked.sources["p.core"]


def test_a_built_in_name_stays_built_in_where_it_was():
    means_the_same(
        {
            "a": "def sum(values): return 'own sum'\ndef use(): return sum([1])\ndef open(): return 'own open'",
            "b": "def total(values): return sum(values)",
            "main": """
                from p import a, b
                def run():
                    print(a.use(), b.total([1, 2]), a.open(), a.sum(0), max(1, 2))
                """,
        }
    )


# --- constants


def test_constants_are_per_module_and_leave_no_names():
    linked = means_the_same(
        {
            "a": """
                _E = const(1)
                _BIG = const((1 << 40) - 1)
                PUBLIC = 7
                NEGATIVE = -3
                WIDE = PUBLIC * 2 + _E
                def e(d=_E): return _E, d
                def big(): return _BIG
                """,
            "b": """
                from p import a
                _E = const(2)
                _T = const((1, 'x', b'y'))
                MASK = a.PUBLIC | 8
                def e(): return _E, _T[1]
                """,
            "main": """
                from p import a, b
                from p.a import PUBLIC
                def run():
                    print(a.e(), b.e(), PUBLIC, a.NEGATIVE, -a.NEGATIVE, a.WIDE, b.MASK, a.big(), PUBLIC - a.NEGATIVE)
                """,
        }
    )
    for name in ("_E", "PUBLIC", "NEGATIVE", "WIDE", "MASK", "const", "_T"):
        assert name not in linked.sources["p.core"]


def test_what_looks_like_a_constant_but_changes_stays_a_name():
    means_the_same(
        {
            "a": "n = 1\nm = 1\nm += 1\nfor k in (1, 2): pass\ndef up():\n    global n\n    n += 1",
            "main": "from p import a\ndef run():\n    a.up()\n    print(a.n, a.m, a.k)",
        }
    )


def test_a_module_by_itself_keeps_its_public_constants():
    linked = means_the_same(
        {
            "a": "SIZE = 3",
            "late": "from p.a import SIZE\nWIDTH = SIZE * 2\n_H = const(9)\ndef area(): return WIDTH * _H",
            "main": """
                from p.a import SIZE
                def run():
                    from p import late
                    print(late.WIDTH, late.area(), SIZE)
                """,
        }
    )
    assert "WIDTH = 6" in linked.sources["p.late"]
    assert "_H" not in linked.sources["p.late"]


# --- imports


def test_import_forms_and_re_exports():
    means_the_same(
        {
            "pack.slot": "HEAD = '<H'\ndef seal(v): return HEAD, v",
            "mid": """
                from p.pack.slot import seal as close
                from p.pack import slot
                def twice(v): return close(v), slot.seal(v)
                """,
            "main": """
                from p import mid
                from p.pack import slot as codec
                from p.mid import close as shut, twice
                def run():
                    from p.pack.slot import seal
                    from p.pack import slot as again
                    print(codec.seal(1), shut(2), twice(3), mid.close(4), seal(5), again.HEAD)
                """,
        }
    )


def test_imports_from_outside_are_made_once_and_keep_their_names_apart():
    linked = means_the_same(
        {
            "a": """
                from struct import pack, unpack
                import struct
                def f(): return pack('<H', 1), struct.unpack('<H', b'ab')
                """,
            "b": """
                from struct import pack as zip_pack
                import struct as s
                def pack(v): return zip_pack('<B', v), s.calcsize('<I')
                """,
            "main": """
                from struct import pack, unpack
                from p import a, b
                def run():
                    import struct as pack_of
                    print(a.f(), b.pack(2), pack('<B', 3), unpack('<B', b'a'), pack_of.calcsize('<Q'))
                """,
        }
    )
    assert linked.sources["p.core"].count("import struct\n") == 1
    assert linked.sources["p.core"].count("from struct import") == 1


def test_side_effects_of_imports_keep_their_order():
    linked = means_the_same(
        {
            "x": "print('x')",
            "y": "from p import x\nprint('y')\ndef f(): return 1",
            "z": "import sys\nprint('z')",
            "main": "from p import y, z\nprint('main')\ndef run():\n    print(y.f())",
        }
    )
    assert linked.groups == {"p.core": ["p.x", "p.y", "p.z", "p.main"]}


def test_modules_that_stay_by_themselves_use_what_was_merged():
    linked = means_the_same(
        {
            "errors": "class Fault(Exception):\n    def __init__(self, code): self.code = code",
            "codec": """
                from p.errors import Fault
                VERSION = 2
                count = [0]
                def check(v):
                    count[0] += 1
                    raise Fault(v + VERSION)
                """,
            "rare": '''
                """Imported when used."""
                from struct import calcsize

                from p import codec
                from p.errors import Fault
                from p.helper import half


                def work(v):
                    from p.codec import check, count
                    try:
                        check(v)
                    except Fault as fault:
                        return fault.code, codec.VERSION, half(v), count, calcsize("<H")
                ''',
            "helper": "from p import codec\ndef half(v): return v // codec.VERSION",
            "main": """
                from p.codec import check
                from p.errors import Fault
                def run():
                    from p import rare
                    from p.rare import work
                    print(rare.work(8), (work, rare.work)[0](1))
                    try:
                        check(1)
                    except Fault as fault:
                        print(fault.code)
                """,
        }
    )
    assert set(linked.sources) == {"p.core", "p.rare", "p.helper"}
    assert "p.errors" not in linked.sources["p.rare"]


def test_two_merged_modules_share_one_of_everything():
    linked = means_the_same(
        {
            "base": """
                class Fault(Exception): pass
                SIZE = 4
                state = []
                def keep(v):
                    state.append(v)
                    return len(state)
                """,
            "low": """
                from p.base import keep
                from p import base
                keep(base.SIZE)
                def fail(): raise base.Fault(base.SIZE)
                """,
            "high": "from p import base, low\nkeep = 'mine'\ndef go():\n    base.keep(keep)\n    low.fail()",
            "main": """
                from p import high
                from p.base import Fault, state
                def run():
                    try:
                        high.go()
                    except Fault as fault:
                        print(state, fault.args)
                """,
        },
        {"p.first": ["p.low"], "p.second": ["p.main"]},
    )
    assert linked.groups == {"p.first": ["p.base", "p.low"], "p.second": ["p.high", "p.main"]}


# --- what is shortened and left out


def test_private_attributes_are_renamed_only_where_nobody_else_can_see_them():
    linked = means_the_same(
        {
            "a": """
                class Parser:
                    _table = (1, 2)
                    def __init__(self, buffer, size=1):
                        self._buffer = buffer
                        self._size_of_it = size
                        self._seen = self._seen_from_outside = 0
                    def _advance(self, step): self._seen += step
                    def feed(self, step):
                        def later(): return self._seen + Parser._table[0]
                        self._advance(step)
                        return later() + self._size_of_it, self._buffer
                    @staticmethod
                    def _make(other): return other._size_of_it
                    def take(self, other):
                        self = other
                        return self._of_another
                class Another:
                    def __init__(self): self._1, self._2, self._3, self._4, self._of_another = 1, 2, 3, 4, 5
                    def both(self): return self._1, self._of_another
                class Base:
                    def __init__(self): self._inherited = 1
                class Derived(Base):
                    def __init__(self):
                        super().__init__()
                        self._own_one = 2
                    def both(self): return self._inherited, self._own_one
                class Lazy:
                    def __init__(self): self._values = {"_looked_up": 5}
                    def __getattr__(self, name): return self._values[name]
                    def get(self): return self._looked_up
                """,
            "main": """
                from p.a import Another, Derived, Lazy, Parser
                def run():
                    print(parser_of(Another()), Another().both())
                    parser = Parser(b"x", size=3)
                    print(parser.feed(2), parser._seen_from_outside, Parser._make(parser), Derived().both(), Lazy().get())
                    print(getattr(parser, "_buffer"), hasattr(parser, "_nothing"))
                def parser_of(other): return Parser(b"").take(other)
                """,
        }
    )
    for kept in ("_seen_from_outside", "_table", "_size_of_it", "_buffer", "_inherited", "_values"):
        assert kept in linked.sources["p.core"], kept
    for gone in ("_advance", "self._seen ", "self._seen\n"):
        assert gone not in linked.sources["p.core"], gone


def test_a_base_that_is_not_a_plain_name_keeps_all_attributes():
    means_the_same(
        {
            "a": "class Base:\n    def __init__(self): self._first, self._second = 1, 2\n    def get(self): return self._second",
            "main": """
                from p import a
                class Derived(a.Base):
                    def __init__(self):
                        super().__init__()
                        self._second += 1
                def run(): print(Derived().get())
                """,
        }
    )


def test_arguments_are_renamed_unless_a_call_names_them():
    linked = means_the_same(
        {
            "main": """
                def outer(first_value, second_value=2, *others, named_value=0):
                    def inner(first_value, third_value):
                        return first_value + second_value + third_value
                    second_value += 1
                    return inner(first_value, 10), others, named_value, [first_value for _ in range(2)]
                def run():
                    print(outer(1), outer(1, 5, 6, named_value=7), outer(second_value=3, first_value=4))
                    print((lambda left_side, right_side: left_side - right_side)(5, 3))
                """
        }
    )
    assert "third_value" not in linked.sources["p.core"]
    assert "left_side" not in linked.sources["p.core"]
    assert "second_value" in linked.sources["p.core"]


def test_what_nobody_names_is_left_out_and_what_only_that_used_goes_with_it():
    linked = means_the_same(
        {
            "a": """
                def used(): return 1
                def unused(): return only_there()
                def only_there(): return 2
                def by_its_text(): return 3
                class Device:
                    def start(self): return 4
                    def stop(self): return 5
                    @property
                    def idle(self): return 6
                class Frame(Device):
                    def readinto(self): return 7
                """,
            "main": """
                from p import a
                def run():
                    print(a.used(), a.Device().start(), len("by_its_text"), a.Frame().start())
                """,
        }
    )
    assert sorted(linked.gone) == ["p.a.Device.idle", "p.a.Device.stop", "p.a.only_there", "p.a.unused"]
    assert "readinto" in linked.sources["p.core"]  # a base may call it


# --- where a line came from

_LINES = {
    "base": """
        SIZE = 3


        def fail(number):
            # why

            if number > SIZE:
                raise ValueError(
                    number
                )
        """,
    "low": "from p.base import fail\ndef low(number):\n    fail(number)",
    "rare": '''
        from p.base import SIZE, fail
        import sys
        from p.low import low


        def rare():
            """Fails."""
            number = (
                SIZE +
                1
            )
            low(number)
            fail(0)
        ''',
    "main": "from p.low import low\n\ndef run():\n    from p import rare\n    rare.rare()",
}


def test_a_traceback_of_the_linked_program_leads_to_the_source():
    sources = {"p." + name: textwrap.dedent(source) for name, source in _LINES.items()}
    linked = merge(_LINES, {"p.first": ["p.base"], "p.second": ["p.main"]})
    plain = trace(sources, "main")
    assert len(plain) == 4 and plain[-1] == ("p/base.py", 9)
    found = []
    for file, line in trace(linked.sources, "second"):
        unit = file[:-3].replace("/", ".")
        if unit in linked.places:
            module, line = linked.places[unit][line - 1]
            file = module.replace(".", "/") + ".py"
        found.append((file, line))
    assert found == plain


def test_a_module_by_itself_keeps_every_statement_on_its_line():
    files = _LINES | {
        "rare": """
            import sys
            from p.base import fail
            def a(): return 1
            if sys: number = a(); other = 2
            else:
                number = 3
            try:
                number += 1
            finally: fail(other)


            def rare():
                # not a line of the program
                from p.low import low
                return [
                    low
                ]
            """
    }
    linked = merge(files, {"p.first": ["p.base"], "p.second": ["p.main"]})
    assert linked.sources["p.rare"].split("\n") == [
        "",
        "import sys",
        "from p.first import fail; from p.second import low",
        "def a(): return 1",
        "if sys: number = a(); other = 2",
        "else:",
        "    number = 3",
        "try:",
        "    number += 1",
        "finally: fail(other)",
        "",
        "",
        "def rare():",
        "",
        "",
        "    return [low]",
        "",
    ]


def test_a_rendering_that_means_something_else_is_noticed(monkeypatch):
    unparse = ast.unparse
    monkeypatch.setattr(ast, "unparse", lambda tree: unparse(tree).replace("41", "42"))
    with pytest.raises(LinkError, match="reads differently"):
        merge({"main": "def run(): return 41"})


def test_each_line_has_a_place_and_only_real_ones():
    linked = merge(_LINES)
    assert list(linked.places) == ["p.core"]
    assert len(linked.places["p.core"]) == linked.sources["p.core"].count("\n")
    for module, line in linked.places["p.core"]:
        assert 1 <= line <= textwrap.dedent(_LINES[module[2:]]).count("\n") + 1


# --- what is refused, with file and line

_A = "x = 1\ny = []\ndef f(): return 1\nclass C: pass"

REFUSED = [
    ({"main": "import p.a\ndef run(): pass"}, "p/main.py:1: import p.a: write from"),
    ({"main": "from p.a import *\ndef run(): pass"}, "p/main.py:1: a star import"),
    ({"main": "from . import a\ndef run(): pass"}, "p/main.py:1: a relative import"),
    ({"main": "from p import nothing\ndef run(): pass"}, "p/main.py:1: p.nothing is not in the bundle"),
    ({"main": "from p.a import z\ndef run(): pass"}, "p/main.py:1: p.a has no z"),
    ({"main": "from p import a\ndef run(): return a.z"}, "p/main.py:2: p.a has no z"),
    ({"main": "from p import a\ndef run(): return a"}, "p/main.py:2: the merged module p.a as a value"),
    ({"main": "from p import a\ndef run(): return getattr(a, 'f')"}, "p/main.py:2: the merged module p.a as a value"),
    ({"main": "from p import a\ndef run(): a.x = 2"}, "p/main.py:2: the merged module p.a as a value"),
    ({"main": "from p import a\ndef run():\n    del a.x"}, "p/main.py:3: the merged module p.a as a value"),
    (
        {"main": "from p import a\ndef run():\n    global a\n    a = 1"},
        "p/main.py:1: a is imported from a merged module and bound",
    ),
    (
        {"main": "from p.a import f\nf = f\ndef run(): pass"},
        "p/main.py:1: f is imported from a merged module and bound",
    ),
    ({"main": "from p import a\ndef run():\n    global a"}, "p/main.py:3: global a, which is imported"),
    (
        {"a": "n = 0\ndef up():\n    global n\n    n += 1", "main": "from p.a import n, up\ndef run(): up()"},
        "p/main.py:1: p.a.n changes by `global`: import the module",
    ),
    ({"main": "y = 1\nfrom p import a\ndef run(): a.f()"}, "p/main.py:2: an import of p.a behind other code"),
    (
        {"main": "try:\n    from p import a\nexcept ImportError:\n    pass\ndef run(): pass"},
        "p/main.py:2: a conditional import of p.a",
    ),
    ({"main": "def run(): return __name__"}, "p/main.py:1: __name__: its meaning depends on the module"),
    ({"main": "__all__ = []\ndef run(): pass"}, "p/main.py:1: __all__: its meaning"),
    ({"main": "def run(): return globals()"}, "p/main.py:1: globals: it sees the names"),
    ({"main": "def run(): return eval('1')"}, "p/main.py:1: eval: it sees the names"),
    ({"main": "def run(): return __import__('sys')"}, "p/main.py:1: __import__: its meaning"),
    (
        {"main": "import sys\nfrom p import a\ndef run(): sys.modules.pop('p.a')"},
        "p/main.py:3: the name of the merged module p.a",
    ),
    ({"main": "x = 1\ndel x\ndef run(): pass"}, "p/main.py:2: del of a module's name"),
    ({"main": "x = 1\nclass C:\n    x = x\ndef run(): pass"}, "p/main.py:3: x is the class's or the module's"),
    ({"main": "import sys\nsys.path = []\ndef run(): pass"}, "p/main.py:2: sys is changed while modules are imported"),
    ({"main": "_N = const(len('a'))\ndef run(): pass"}, "p/main.py:1: len('a') is not known when linking"),
    ({"main": "_N = const(1)\n_N = 2\ndef run(): pass"}, "p/main.py:1: the constant _N is bound once more"),
    ({"main": "_N = const(1)\ndef run(_N): pass"}, "p/main.py:1: the constant _N is also a name within"),
    ({"main": "def run():\n    n = const(1)"}, "p/main.py:2: const() that is not alone"),
    ({"main": "def run(): return const(1)"}, "p/main.py:1: const() that is not alone"),
    ({"main": "def run():\n    n: int\n    return 1"}, "p/main.py:2: an annotation that makes a name local"),
    ({"main": "def run(x): return getattr(x, 'a' + 'b')"}, "p/main.py:1: getattr with a name that is made up"),
    ({"main": "def run(x):\n    match x:\n        case 1: pass"}, "p/main.py:2: MicroPython does not know Match"),
    ({"main": "def run(x) return"}, "p/main.py:1: expected ':'"),
    (
        {"b": "from p import c", "c": "from p import b", "main": "from p import b\ndef run(): pass"},
        "p/b.py:1: a circular import: p.b -> p.c -> p.b",
    ),
    ({"main": "import os.path\ndef run(): pass"}, "p/main.py:1: import os.path binds a package"),
]


_LATE = "from p.a import f\nimport sys\n_private = 1\ndef g(): return f()"
for use, message in (
    ("late.f()", "p/main.py:4: p.late.f is private to its module, or imported there"),
    ("late.sys", "p/main.py:4: p.late.sys is private to its module, or imported there"),
    ("late._private", "p/main.py:4: p.late._private is private to its module, or imported there"),
    ("late.nothing", "p/main.py:4: p.late has no nothing"),
):
    REFUSED.append(
        ({"late": _LATE, "main": "from p import a\ndef run():\n    from p import late\n    " + use}, message)
    )
REFUSED.append(
    (
        {"late": _LATE, "main": "from p import a\ndef run():\n    from p.late import f"},
        "p/main.py:3: p.late.f is private to its module",
    )
)


@pytest.mark.parametrize("files, message", REFUSED, ids=[message for _, message in REFUSED])
def test_refused(files, message):
    with pytest.raises(LinkError) as caught:
        merge({"a": _A} | files)
    assert str(caught.value).startswith(message)


def test_what_a_later_part_has_is_refused_in_an_earlier_one():
    files = {
        "a": "def f():\n    from p.b import g\n    return g()",
        "b": "def g(): return 1",
        "main": "from p import b\ndef run(): b.g()",
    }
    with pytest.raises(LinkError, match=r"p/a\.py:2: p.b is merged into a later unit"):
        merge(files, {"p.first": ["p.a"], "p.second": ["p.main"]})


def test_state_that_changes_is_refused_across_parts():
    files = {
        "a": "n = 0\ndef up():\n    global n\n    n += 1",
        "main": "from p import a\ndef run():\n    a.up()\n    print(a.n)",
    }
    with pytest.raises(LinkError, match=r"p/main\.py:4: p.a.n changes by `global`, in another unit"):
        merge(files, {"p.first": ["p.a"], "p.second": ["p.main"]})


def test_a_name_that_is_asked_for_must_be_free():
    with pytest.raises(LinkError, match=r"p\.main\.run can't be exported as print"):
        link({"p.main": "def run(): print(1)"}, {"p.core": ["p.main"]}, {("p.main", "run"): "print"})
