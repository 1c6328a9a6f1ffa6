"""Bugs planted on purpose: the fault suites must find each of them, or the reason why they can't is written here.

Each is one replacement in a copy of the firmware's source, hunted by tests/support/hunt.py in a process of its own. S1 to S10 are
the ten classic ones of crash-safe logs; the others are what this journal could get wrong in particular.
"""

import shutil
import subprocess
import sys

import pytest

from kassette_host import ROOT


def read_bugs():
    """name -> [(file, what is there, what is put there)] from tests/support/planted_bugs.txt.

    `=== name`, `--- file`, then blocks of `<<<`, what is there, `>>>`, what is put there; `~` ends a part of a line.
    """
    bugs = {}
    for text in (ROOT / "tests/support/planted_bugs.txt").read_text().split("=== ")[1:]:
        title, *parts = text.split("\n--- ")
        bugs[title] = changes = []
        for part in parts:
            file, *blocks = (part + "\n").replace("\n\n", "\n").split("<<<\n")
            changes += [(file.strip(), *block.replace("~\n", "").split(">>>\n")) for block in blocks]
    return bugs


BUGS = read_bugs()

# what no fault can show, and why
EQUIVALENT = {
    "copies within a sector are taken": "a copy opens only in a gap directly before its original, where the tag before it is "
    "the same; it then stands for the original, which no longer follows and is burned: the same records in the same order",
    "S7 the replay stops at the first blank slot": "a slot is left blank before a later one only when a program of it was "
    "ignored and so was its burn; such a sector ignores the later slot as well (stuck cells burn to something that is not blank)",
}
SAMPLE = ("S4", "S9", "no read-back", "the old key is zeroed")


def plant(folder, name):
    """A copy of the firmware with the bug in it."""
    shutil.copytree(
        ROOT / "firmware", folder / "firmware", ignore=shutil.ignore_patterns("*.pyc", "__pycache__", "docs", "texts")
    )
    for path, there, instead in BUGS[name]:
        file = folder / "firmware/kassette" / path
        source = file.read_text()
        assert source.count(there) == 1, "%s: the source has changed, %d times: %r" % (name, source.count(there), there)
        file.write_text(source.replace(there, instead))
    return folder / "firmware"


def hunt(firmware):
    done = subprocess.run(
        [sys.executable, "tests/support/hunt.py", str(firmware)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout, done.stderr
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize("name", BUGS)
def test_each_bug_still_fits_the_source(tmp_path, name):
    plant(tmp_path, name)


@pytest.mark.parametrize("name", [name for name in BUGS if name.startswith(SAMPLE)])
def test_a_sample_is_caught(tmp_path, name):
    caught, said = hunt(plant(tmp_path, name))
    assert caught, said


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_nothing_is_found_without_a_bug():
    assert hunt(ROOT / "firmware")[0] == 0


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", BUGS)
def test_every_bug_is_caught_or_equivalent(tmp_path, name):
    caught, said = hunt(plant(tmp_path, name))
    print("\n%s: %s" % (name, said))
    assert caught == (name not in EQUIVALENT)
