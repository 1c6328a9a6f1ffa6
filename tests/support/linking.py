"""Small programs, linked and as they are, on both runtimes: whatever they print must be the same."""

import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Collection

from tools import MICROPYTHON

from kassette_host.bundle import strip
from kassette_host.link import Linked, link

ENTRY = ("p.main", "run")
_START = """
import sys
sys.path.insert(0, sys.argv[1])
if sys.implementation.name == "cpython":
    import builtins
    builtins.const = lambda value: value
from p.%s import run
run()
"""


def merge(files: dict[str, str], parts: dict[str, list[str]] | None = None, lent: Collection[str] = ()) -> Linked:
    """Link `p.<name>` -> source; all that `p.main` imports at its top becomes `p.core`, unless `parts` says otherwise."""
    sources = {"p." + name: strip(textwrap.dedent(source)) for name, source in files.items()}
    return link(sources, parts or {"p.core": ["p.main"]}, {ENTRY: "run"}, lent=lent)


def output(sources: dict[str, str], entry: str, interpreter: str) -> str:
    """What `run` of the module `p.<entry>` prints."""
    done = _run(sources, entry, interpreter)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def trace(sources: dict[str, str], entry: str) -> list[tuple[str, int]]:
    """The files (within the program) and lines of the traceback with which it ends on MicroPython."""
    done = _run(sources, entry, MICROPYTHON)
    found = re.findall(r'File ".*/(p/[^"]*)", line (\d+), in (?!<module>)', done.stdout + done.stderr)
    return [(file, int(line)) for file, line in found]


def _run(sources: dict[str, str], entry: str, interpreter: str) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as folder:
        for name, source in sources.items():
            target = pathlib.Path(folder, name.replace(".", "/") + ".py")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(source)
        start = pathlib.Path(folder, "start.py")
        start.write_text(_START % entry)
        return subprocess.run([interpreter, str(start), folder], capture_output=True, text=True, timeout=60)


def means_the_same(
    files: dict[str, str], parts: dict[str, list[str]] | None = None, lent: Collection[str] = ()
) -> Linked:
    """Run a program four times and compare; `p.main` has the function `run` and must print something."""
    plain = {"p." + name: strip(textwrap.dedent(source)) for name, source in files.items()}
    linked = merge(files, parts, lent)
    core = list(parts)[-1].split(".")[1] if parts else "core"
    wanted = output(plain, "main", sys.executable)
    assert wanted.strip()
    assert output(plain, "main", MICROPYTHON) == wanted
    for interpreter in (sys.executable, MICROPYTHON):
        found = output(linked.sources, core, interpreter)
        assert found == wanted, "%s\n%s\n%s" % (found, wanted, linked.sources["p." + core])
    return linked
