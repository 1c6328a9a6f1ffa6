"""The shop as a person starts it, `python -m kassette_host run`, in a state folder of its own; and waiting for its till."""

import asyncio
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).parents[2]
HANG_S = int(os.environ.get("SHOP_HANG_S", 120))


def wait_for(feed, condition):
    """Until `condition(parts)` holds for what the shop publishes; its parts then."""

    async def follow():
        async for changed in feed.follow():
            seen.update(changed)
            if condition(seen):
                return dict(seen)

    async def guarded():
        return await asyncio.wait_for(follow(), HANG_S)

    seen = {}
    try:
        return asyncio.run(guarded())
    except TimeoutError:
        raise AssertionError("it never came to that; the shop shows: %s" % seen) from None


class ShopProcess:
    """`lines` are what it has printed."""

    def __init__(self, state_dir, *arguments):
        environment = os.environ | {"KASSETTE_STATE": str(state_dir), "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kassette_host", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines = []
        self._news = threading.Condition()
        self._is_over = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._is_over = True
            self._news.notify_all()

    def line(self, pattern):
        """The match of the first line that matches, waited for."""

        def found():
            return next((m for m in (re.search(pattern, line) for line in self.lines) if m), None) or self._is_over

        with self._news:
            self._news.wait_for(found, HANG_S)
            match = found()
        assert match and match is not True, "no line %r in:\n%s" % (pattern, "\n".join(self.lines))
        return match

    def url(self):
        """The counter page's address, as soon as it is printed."""
        return self.line(r"counter +(http://\S+)")[1]

    def family(self):
        """The process ids of everything that it has started, however deep."""
        return descendants(self.process.pid)

    def end(self, number=signal.SIGINT):
        """Send a signal and wait; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(HANG_S)
        with self._news:
            self._news.wait_for(lambda: self._is_over, HANG_S)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.end(signal.SIGTERM)


def descendants(pid):
    """The process ids below `pid`, from /proc."""
    parents = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found = set()
    grown = {pid}
    while grown:
        grown = {child for child, parent in parents.items() if parent in grown} - found
        found |= grown
    return found


def is_alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        return pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
