"""The trace: every frame on every link with its virtual time, and one hash over all of it.

Network bytes are left out of the hash: TLS is different every time. That a connection was used is in it.
"""

import hashlib
from typing import TextIO


class Trace:
    def __init__(self, file: TextIO | None = None):
        self._file = file
        self._digest = hashlib.sha256()
        self.lines = 0

    def frame(self, now_us: int, link: str, direction: str, data: bytes) -> None:
        """One frame; `direction` is `>` from the firmware and `<` towards it."""
        self.note(now_us, "%s %s %s" % (link, direction, data.hex()))

    def note(self, now_us: int, text: str) -> None:
        line = "%d.%06d %s\n" % (now_us // 1_000_000, now_us % 1_000_000, text)
        self._digest.update(line.encode())
        self.lines += 1
        if self._file:
            self._file.write(line)

    @property
    def hash(self) -> str:
        return self._digest.hexdigest()
