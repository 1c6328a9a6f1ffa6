"""Every screen and every slip as a picture: hashes of pixels in git, the pictures in .build/golden/index.html.

A picture that changed fails here until a person has looked at the report and accepted it with `make golden`.
"""

import hashlib
import html
import json
import pathlib

import pytest
from virtual_panel import PaperRig, VirtualPanel, slips

from kassette.codec.records import ABANDONED, COMMITTED, GIVEN, LATE_COMMIT, NOT_DEBITED, UNRESOLVED
from kassette.ui.slip import COPY, LATE, TRUTH, UNTRUSTED
from kassette_host import BUILD, texts
from kassette_host.virtual.paper import VirtualSlip

HASHES = pathlib.Path(__file__).parents[1] / "golden"
REPORT = BUILD / "golden"
TEXTS = texts.load()[0]
# (amount, second number, third) as a flow would give them
_NUMBERS = {
    5: (1200, 800),
    6: (1200, 800),
    14: (1250, 8750),
    16: (8750, 61234),
    21: (1250, 17),
    22: (1250, 17),
    24: (123456, 60),
    28: (1250, 17, 571),
    31: (123456, 60),
    37: (5, 4565),
    38: (12550, b"****"),
    39: (1250, 4565),
    311: (2,),
    809: (1200, 17, 800),
}
_NUMBERS |= {34: (12,)}
_NUMBERS |= {19: (17,), 20: (17,), 23: (17,), 303: (350,), 305: (50000,), 507: (503,), 2: (12,), 3: (5,), 4: (3,)}
_SALE = (1795415109, 17, 1, 1250, 156, b"", 61234, 0, 0, 0, 1, 10000)
_FIRST = (*_SALE[:3], 1200, *_SALE[4:11], 1200, 7, b"", 0, 1, 0, 1, 2000, 0)
_REST = (_SALE[0], 18, 1, 800, *_SALE[4:12], 7, b"", 0, 1, 0, 1, 2000, 17)
_LONG_REST = (
    0xFFFFFFF0,
    4294967295,
    255,
    9999998,
    156,
    b"",
    1,
    0,
    0,
    0,
    1,
    2147483647,
    7,
    b"",
    0,
    1,
    0,
    1,
    9999999,
    4294967294,
)
_FORGOTTEN = (1795415109, 17, 0, None, 0, b"", None, 0, 0, 0, 0, None)
_CLOSE = (1795415109, 6, 1, 60, 123456, 0, 0, 65, 142, bytes(16), 2, b"")
_LONG = (0xFFFFFFF0, 4294967295, 255, 9999999, 156, b"", 4294967295, 0, 0, 0, 1, 2147483647)


class Day:
    day_count = 60
    day_sum = 123456
    unresolved = [(7, 5, 300, 1, 1, b"", b"", 0)]
    next_slip = 66


def _screens():
    for number, text in TEXTS.items():
        if text.cashier:
            numbers = _NUMBERS.get(number, (1250,))
            yield "%03d %s" % (number, text.name), lambda p, a=(number, *numbers): p.ui.show(*a)
            if text.customer:
                yield "%03d %s customer" % (number, text.name), lambda p, a=(number, *numbers): p.show_customer(*a)
    yield "idle", lambda p: p.ui.idle("14:05", True, 0)
    yield "idle offline", lambda p: p.ui.idle("14:05", False, 720)
    yield "idle clock untrusted", lambda p: p.ui.idle("14:05?", True, 3 * 86400)
    yield "idle with a note", lambda p: p.ui.idle("14:05", True, 0, (601,))
    yield "amount empty", lambda p: p.ui.show(10, 0)
    yield "amount largest", lambda p: p.ui.show(10, 9999999)
    yield "total larger than the large digits", lambda p: p.ui.show(24, 123456789, 9999)


def _slips():
    for name, outcome, marks in (
        ("sale", COMMITTED, 0),
        ("sale late", COMMITTED, LATE),
        ("sale copy", COMMITTED, COPY),
        ("sale late copy clock untrusted", COMMITTED, LATE | COPY | UNTRUSTED),
        ("found charged", LATE_COMMIT, 0),
        ("not charged", NOT_DEBITED, TRUTH),
        ("truth", UNRESOLVED, TRUTH),
        ("goods given", GIVEN, TRUTH),
        ("abandoned", ABANDONED, TRUTH | UNTRUSTED),
    ):
        yield name, lambda s, o=outcome, m=marks: s.sale(_SALE, 131, o, m)
    yield "first part", lambda s: s.sale(_FIRST, 131, COMMITTED)
    yield "first part unknown", lambda s: s.sale(_FIRST, 131, UNRESOLVED, TRUTH)
    yield "rest", lambda s: s.sale(_REST, 133, COMMITTED)
    yield "rest not charged", lambda s: s.sale(_REST, 133, NOT_DEBITED, TRUTH)
    yield "rest, largest numbers", lambda s: s.sale(_LONG_REST, 4294967295, COMMITTED)
    yield "largest numbers", lambda s: s.sale(_LONG, 4294967295, COMMITTED)
    yield "day total", lambda s: s.total(Day, 1795415109)
    yield "close of day", lambda s: s.closing(_CLOSE, 550, 142, bytes(range(0, 160, 10)), 0)
    yield "close of day offline copy", lambda s: s.closing(_CLOSE, 550, 0, b"", 131, COPY | UNTRUSTED)
    yield "found charged, its day forgotten", lambda s: s.sale((*_SALE[:6], None, *_SALE[7:]), 131, LATE_COMMIT, TRUTH)
    yield "not charged, its day forgotten", lambda s: s.sale(_FORGOTTEN, 131, NOT_DEBITED, TRUTH)
    yield "day total late", lambda s: s.total(Day, 1795415109, LATE | UNTRUSTED)


SCREENS = dict(_screens())
SLIPS = dict(_slips())


class Album:
    """The pictures of this run beside the hashes in git."""

    def __init__(self, kind, accept):
        self.kind = kind
        self._accept = accept
        self._file = HASHES / (kind + ".json")
        self.known = json.loads(self._file.read_text()) if self._file.exists() else {}
        self.seen = {}
        self._rows = []

    def check(self, name, pixels, png):
        digest = hashlib.sha256(pixels).hexdigest()
        self.seen[name] = digest
        is_same = self.known.get(name) == digest
        file_name = "%s-%s.png" % (self.kind, name.replace(" ", "-"))
        REPORT.mkdir(parents=True, exist_ok=True)
        (REPORT / file_name).write_bytes(png)
        self._rows.append((name, file_name, is_same))
        assert is_same or self._accept, "%s changed: look at %s, then `make golden`" % (name, REPORT / "index.html")

    def close(self, is_whole):
        if self._accept and is_whole:
            self._file.parent.mkdir(exist_ok=True)
            self._file.write_text(json.dumps(self.seen, indent=1, sort_keys=True) + "\n")
        figures = "".join(
            '<figure class="%s"><img src="%s"><figcaption>%s</figcaption></figure>'
            % ("same" if is_same else "changed", html.escape(file_name), html.escape(name))
            for name, file_name, is_same in self._rows
        )
        (REPORT / ("%s.html" % self.kind)).write_text(_PAGE % (self.kind, self.kind, figures), encoding="utf-8")
        links = "".join('<li><a href="%s.html">%s</a>' % (kind, kind) for kind in ("screens", "slips"))
        (REPORT / "index.html").write_text(_PAGE % ("golden pictures", "golden pictures", "<ul>%s</ul>" % links))


_PAGE = """<!doctype html><meta charset="utf-8"><title>%s</title><style>
body{font:14px sans-serif;background:#ddd;margin:2em}figure{display:inline-block;margin:8px;vertical-align:top}
figcaption{padding:4px 0}.changed{outline:4px solid #d33}img{max-width:320px;image-rendering:pixelated}
</style><h1>%s</h1>%s"""


@pytest.fixture(scope="module")
def albums(request):
    accept = request.config.getoption("--golden")
    opened = {kind: Album(kind, accept) for kind in ("screens", "slips")}
    yield opened
    opened["screens"].close(opened["screens"].seen.keys() == SCREENS.keys())
    opened["slips"].close(opened["slips"].seen.keys() == SLIPS.keys())


@pytest.fixture(scope="module")
def panel():
    return VirtualPanel()


@pytest.mark.parametrize("name", SCREENS)
def test_golden_screen(name, albums, panel):
    panel.ui.show(26)
    SCREENS[name](panel)
    albums["screens"].check(name, panel.display.pixels(), panel.display.png(3))


@pytest.mark.parametrize("name", SLIPS)
def test_golden_slip(name, albums):
    rig = PaperRig()
    (slip,) = rig.print(SLIPS[name](slips()))
    assert isinstance(slip, VirtualSlip) and not rig.printer.unknown and not rig.printer.ignored
    albums["slips"].check(name, slip.image().tobytes(), slip.png(2))


def test_golden_hashes_belong_to_a_picture(albums):
    for kind, names in (("screens", SCREENS), ("slips", SLIPS)):
        assert albums[kind].known.keys() <= names.keys() or albums[kind]._accept, "a picture is gone: `make golden`"


def test_golden_pictures_use_no_font_of_the_machine():
    from kassette_host import fonts

    shown = set("".join(PaperRig().print(SLIPS["sale"](slips()))[0].text))
    assert {character for character in shown if character > "\x7f"} <= set(fonts.hanzi())
