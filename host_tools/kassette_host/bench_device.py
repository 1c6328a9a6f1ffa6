"""A bench's part on the interpreter: run it, count its instructions, and close the bench with its verdict."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from rich.console import Console

from kassette_host import ROOT
from kassette_host.sim.wire import MICROPYTHON

_LIMIT_S = 600
_PATH = {"MICROPYPATH": ".frozen:firmware:host_tools/kassette_host/virtual"}


def run(*arguments: str, heap: str = "8m") -> dict:
    """What a script of tests/support prints as JSON. Raises RuntimeError with what it printed instead."""
    done = subprocess.run(
        [MICROPYTHON, "-X", "heapsize=" + heap, *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=_LIMIT_S, env=os.environ | _PATH,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError("%s: %s" % (" ".join(arguments), done.stdout + done.stderr))
    return json.loads(done.stdout)


def instructions(*arguments: str) -> int | None:
    """Instructions between the script's calls of `micropython.stack_use` and `mem_total`; None without valgrind."""
    runner = "import micropython_run, sys; sys.exit(micropython_run.run_main(%r))" % (
        ["mp", "-X", "heapsize=8m", *arguments],
    )
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind", "--tool=callgrind", "--zero-before=mp_micropython_stack_use",
            "--dump-before=mp_micropython_mem_total", "--callgrind-out-file=%s/out" % folder,
            sys.executable, "-I", "-S", "-c", "import sys; sys.path[:0] = %r; %s" % (sys.path, runner),
        ]  # fmt: skip
        try:
            subprocess.run(command, cwd=ROOT, capture_output=True, timeout=_LIMIT_S, check=True, env=os.environ | _PATH)
        except (FileNotFoundError, subprocess.CalledProcessError):
            return None
        found = re.search(r"^(?:totals|summary): (\d+)", pathlib.Path(folder, "out.1").read_text(), re.M)
        return int(found.group(1)) if found else None


def verdict(console: Console, missed: list[str]) -> int:
    """Print the targets that are missed; the bench's exit status."""
    for text in missed:
        console.print("MISSED: " + text)
    return 1 if missed else 0
