"""The other side of `hal_bodies`: what hangs on a board, played as its bodies want it."""

from hal_bodies import FLUX


class Peer:
    """What hangs on a board, played as its bodies want it; `until(condition)` lets the board's world run."""

    def __init__(self, parts, set_network, until):
        self.parts = parts
        self._set_network = set_network
        self._until = until
        self.lines = []

    def hear(self, line):
        self.lines.append(line)

    def play(self):
        """Do what is wanted until the bodies are done; what each of them said."""
        at = 0
        while self._until(lambda at=at: len(self.lines) > at) and self.lines[at] != "done":
            if self.lines[at].startswith("want "):
                arguments = self.lines[at].split()[1:]
                getattr(self, "_" + arguments[0])(*arguments[1:])
                self.parts["speak"](b"\x5a" * 20 if arguments == ["speech"] else b"\x06")
            at += 1
        said = [line.split(" ", 2) for line in self.lines if line.startswith(("ok ", "FAIL "))]
        return {words[1]: "" if words[0] == "ok" else words[2].replace("|", "\n") for words in said}

    def _press(self, key):
        self.parts["keys"].press(key)

    def _release(self, key):
        self.parts["keys"].release(key)

    def _speech(self):
        pass

    def _tone(self, hz):
        self._until(lambda: self.parts["tone"]() == int(hz))

    def _lamp(self, level):
        self._until(lambda: self.parts["lamp"]() == int(level))

    def _paper(self, word):
        printer = self.parts["printer"]
        self._until(lambda: printer.current and printer.current.text.count(word) == 20)

    def _page(self, lit):
        pages = b"".join(bytes([0xFF if page == int(lit) else 0]) * 128 for page in range(8))
        self._until(lambda: self.parts["display"].pixels() == pages)

    def _flux(self):
        moments = []
        for steps in (FLUX, tuple(reversed(FLUX))):
            moments.append([500 + sum(steps[:n]) for n in range(len(steps) + 1)])
        self.parts["flux"](*moments)

    def _network(self, state):
        self._set_network(state == "up")


def behind_panel(panel):
    """The parts of a `FrontPanel`, as `Peer` wants them."""
    return {
        "keys": panel,
        "printer": panel.printer,
        "display": panel.display,
        "tone": lambda: panel.buzzer.hz,
        "lamp": lambda: panel.led,
    }
