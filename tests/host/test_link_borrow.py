"""Borrowed names: the linked program means the same, and what somebody else may know keeps its name."""

import pathlib
import subprocess
import sys

import pytest
from tools import MICROPYTHON

from kassette_host.bundle import linked
from kassette_host.link import link
from kassette_host.link.borrow import LENT

_PROGRAM = {
    "p.part": """
import struct
from binascii import crc32
from outer import peculiar
class Reader:
    def peculiar(self): return peculiar()
    def __init__(self, long_argument, given=1):
        self.attribute = long_argument
        self.append = given
        self.by_its_text = 3
        struct.not_of_ours = 4
    def read_it(self):
        return self.peculiar(), self.attribute, self.append, crc32(b"a"), struct.calcsize("<I")
""",
    "p.main": """
from p.part import Reader
def run():
    reader = Reader(5, given=2)
    fabs = [1]
    fabs.append(2)
    print(reader.read_it(), reader.attribute, getattr(reader, "by_its_text"), fabs)
""",
}


def _link(lent):
    return link(dict(_PROGRAM), {"p.core": ["p.main"]}, {("p.main", "run"): "run"}, lent=lent).sources["p.core"]


@pytest.mark.parametrize("interpreter", [sys.executable, MICROPYTHON])
def test_a_program_with_borrowed_names_prints_the_same(interpreter, tmp_path):
    pathlib.Path(tmp_path, "outer.py").write_text("def peculiar(): return 7\n")
    printed = set()
    for number, lent in enumerate([(), LENT]):
        source = _link(lent).replace("struct.not_of_ours = 4", "pass")
        file = pathlib.Path(tmp_path, "program%d.py" % number)
        file.write_text(source + "run()\n")
        printed.add(subprocess.run([interpreter, str(file)], capture_output=True, text=True, check=True).stdout)
    assert len(printed) == 1 and "(7, 5, 2, " in printed.pop()


def test_ours_go_and_what_others_may_know_stays():
    source = _link(LENT)
    for ours in ("Reader", "attribute", "read_it", "given"):
        assert ours not in source, ours
    for known in ("run", ".append", "by_its_text", "not_of_ours", "crc32", "calcsize", "peculiar"):
        assert known in source, known


def test_a_name_in_use_is_not_lent_and_none_is_lent_twice():
    source = _link(["fabs", "acos", "calcsize", "asin"])
    assert source.count("fabs") == 3  # the local variable's own
    assert "acos" in source and "asin" in source
    assert source.count("calcsize") == 1


def test_what_is_lent_lies_in_the_interpreters_rom():
    program = "import micropython\nclass A: pass\nmicropython.qstr_info()\n%s\nmicropython.qstr_info()\n"
    asks = "for name in %r.split(): hasattr(A, name)" % " ".join(LENT)
    done = subprocess.run([MICROPYTHON, "-c", program % asks], capture_output=True, text=True, check=True)
    before, after = [line.split("n_qstr=")[1].split(",")[0] for line in done.stdout.splitlines() if "n_qstr" in line]
    assert int(after) == int(before)


def test_the_bundle_keeps_what_its_main_asks_for():
    sources = linked("sim").sources
    assert "class Board" in sources["kassette.core"] and "def main" in sources["kassette.terminal"]
    assert "class Uplink" not in sources["kassette.terminal"]
