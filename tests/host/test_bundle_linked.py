"""The real bundle, linked: the same bytes each time, fits the smallest heap, and its lines can be found again."""

import os
import re
import subprocess
import sys

import pytest
from tools import MICROPYTHON

from kassette_host import ROOT, bundle
from kassette_host.link import where
from kassette_host.sim.bench import Bench

_HEAP = 128  # kB, what the whole terminal has on the 64-bit interpreter
_SPARE = 15 * 1024  # bytes of it that are free once it is idle

_PROBE = """
import gc, sys
gc.threshold(2048)
sys.path[:] = [sys.argv[1], ".frozen"]
from sim import hostlink
for part in sys.argv[2:]:
    __import__(part)
    gc.collect()
print(gc.mem_free())
"""


def usable_heap() -> int:
    code = "import gc; gc.collect(); print(gc.mem_alloc() + gc.mem_free())"
    return int(subprocess.check_output([MICROPYTHON, "-X", "heapsize=%dk" % _HEAP, "-c", code]))


def test_everything_that_boot_and_a_sale_need_is_merged():
    linked = bundle.linked("sim")
    assert list(linked.groups) == list(bundle.PARTS)
    merged = [name for group in linked.groups.values() for name in group]
    assert len(merged) == len(set(merged)) > 35
    assert {"sim.board", "kassette.app", "kassette.flows.sale", "kassette.store.journal", "kassette.net.uplink"} <= set(
        merged
    )
    for unit in linked.groups:
        assert "const" not in linked.sources[unit]
        assert "TYPE_CHECKING" not in linked.sources[unit]


def test_the_same_sources_give_the_same_bundle():
    code = (
        "import hashlib, pathlib, tempfile; from kassette_host import bundle\n"
        "with tempfile.TemporaryDirectory() as cache:\n"
        "    bundle.BUILD = pathlib.Path(cache)\n"
        "    print(hashlib.sha256(bundle.build('sim')).hexdigest())"
    )
    found = {
        subprocess.check_output([sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": str(seed)}, text=True)
        for seed in (1, 2, 3)
    }
    assert len(found) == 1


def test_the_parts_import_in_the_smallest_heap(tmp_path):
    for path, code in (bundle.modules("sim") | bundle.separate("sim")).items():
        if path in bundle.modules("sim") or path == "/sim/hostlink.mpy":
            target = tmp_path / path[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(code)
    command = [MICROPYTHON, "-X", "heapsize=%dk" % _HEAP, "-c", _PROBE, str(tmp_path), *bundle.PARTS]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 2 * _SPARE


def test_the_terminal_is_idle_with_room_to_spare():
    bench = Bench()
    bench.terminal.heap = "%dk" % _HEAP
    try:
        bench.start()
        ready = next(line for line in bench.terminal.log if line.startswith("ready "))
    finally:
        bench.terminal.close()
    assert usable_heap() - int(ready.split()[-1]) >= _SPARE


@pytest.fixture
def maps(tmp_path, monkeypatch):
    where.write_maps(tmp_path / "sim", {"kassette.core": [("kassette.errors", 7), ("kassette.money", 4)]})
    monkeypatch.setattr(where, "BUILD", tmp_path)
    return bundle.sources("sim")


def test_where_translates_places_and_tracebacks(maps):
    source = (ROOT / "firmware/kassette/money.py").read_text().split("\n")[3].strip()
    place = "firmware/kassette/money.py:4 in text: " + source
    assert where.explain("kassette/core.py:2", "sim", maps) == place
    assert where.explain("kassette.core:2", "sim", maps) == place
    trace = 'Traceback (most recent call last):\n  File "kassette.core", line 2, in _ab\nValueError: core.py'
    assert where.explain(trace, "sim", maps) == "Traceback (most recent call last):\n  %s\nValueError: core.py" % place


def test_where_leaves_alone_what_it_does_not_know(maps):
    for text in (
        "kassette/core.py:0",
        "kassette/core.py:3",
        "kassette/nowhere.py:3",
        "kassette.nowhere:3",
        "core.py:1",
        'File "ssl.py", line 1, in x',
    ):
        assert where.explain(text, "sim", maps) == text
    own = where.explain("kassette/flows/desk.py:1", "sim", maps)
    assert re.match(r'firmware/kassette/flows/desk\.py:1: """', own)


def test_where_on_the_command_line():
    bundle.modules("sim")
    done = subprocess.run(
        [sys.executable, "-m", "kassette_host", "where", "kassette.core:1"], capture_output=True, text=True
    )
    assert re.match(r"(boards|firmware)/\S+\.py:\d+", done.stdout), done.stderr
