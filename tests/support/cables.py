"""Three PTYs in front of a chip of the rig, as a board's serial cables are: whoever opens them has the chip's lines."""

import os
import select
import threading
import tty


class Cables:
    """`ports`: console, panel, reader. `reset(is_low)` does to the chip what a board's EN does. Lasts until `close`."""

    def __init__(self, chip):
        self._chip = chip
        self._pairs = [os.openpty() for _ in range(3)]  # the other ends stay open: whoever opens them may come and go
        for _, end in self._pairs:
            tty.setraw(end)
        self.ports = [os.ttyname(end) for _, end in self._pairs]
        self._bell = os.pipe()
        self._thread = None

    def reset(self, is_low):
        if self._thread:
            os.write(self._bell[1], b"!")
            self._thread.join()
            os.read(self._bell[0], 1)
            self._thread = None
            self._chip.kill()
        if not is_low:
            self._chip.start()
            self._chip.go_on()
            self._thread = threading.Thread(target=self._carry, daemon=True)
            self._thread.start()

    def close(self):
        self.reset(True)
        self._chip.close()
        for end in (*self._bell, *[end for pair in self._pairs for end in pair]):
            os.close(end)

    def _carry(self):
        masters = [master for master, _ in self._pairs]
        lines = list(self._chip.lines)
        while True:
            for master, line in zip(masters, lines):
                data = line.receive()  # also what came while the chip was being started
                while data:
                    data = data[os.write(master, data) :]
            ready = select.select([self._bell[0], *masters, *lines], [], [])[0]
            if self._bell[0] in ready:
                return
            for master, line in zip(masters, lines):
                if master in ready:
                    line.send(os.read(master, 4096))
