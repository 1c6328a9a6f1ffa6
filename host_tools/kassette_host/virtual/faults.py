"""What may go wrong at the virtual reader, told in advance and counted, so that a run can be repeated exactly."""

from typing import NamedTuple

TO_CHIP, TO_HOST = ">", "<"


class _Leave(NamedTuple):
    countdown: int
    code: int | None
    is_after: bool


class Faults:
    """Told by tests and by the counter page; every fault happens once and is then forgotten.

    silent: the chip takes no notice of anything, as if it were unplugged, until set back.
    """

    def __init__(self):
        self.silent = False
        self._leave: _Leave | None = None
        self._bytes: dict[str, dict[int, tuple[int, bytes]]] = {TO_CHIP: {}, TO_HOST: {}}
        self._seen = {TO_CHIP: 0, TO_HOST: 0}
        self._spoil = 0

    # --- the card

    def leave_before(self, nth: int = 1, code: int | None = None) -> None:
        """The card leaves before the `nth` command from now reaches it; with `code`, only those commands count."""
        self._leave = _Leave(nth, code, False)

    def leave_after(self, nth: int = 1, code: int | None = None) -> None:
        """The card has run the `nth` command, then leaves: its answer never arrives."""
        self._leave = _Leave(nth, code, True)

    def stay(self) -> None:
        """The card stays after all."""
        self._leave = None

    def spoil_answer(self, nth: int = 1) -> None:
        """A bit of the card's `nth` answer from now is wrong on the air."""
        self._spoil = nth

    def leaves(self, code: int | None) -> str:
        """Asked for each command block on its way to the card: "before", "after" or "" (it stays)."""
        leave = self._leave
        if leave is None or (leave.code is not None and leave.code != code):
            return ""
        if leave.countdown > 1:
            self._leave = leave._replace(countdown=leave.countdown - 1)
            return ""
        self._leave = None
        return "after" if leave.is_after else "before"

    def spoils(self) -> bool:
        """Asked for each answer of the card."""
        if not self._spoil:
            return False
        self._spoil -= 1
        return self._spoil == 0

    # --- the wire

    def lose(self, direction: str, at: int) -> None:
        """Lose the `at`-th byte from now on (1 is the next one) in direction `>` (to the chip) or `<` (to the host)."""
        self._bytes[direction][self._seen[direction] + at] = 0, b""

    def corrupt(self, direction: str, at: int, mask: int = 0x01) -> None:
        """Turn the bits of `mask` in the `at`-th byte from now."""
        self._bytes[direction][self._seen[direction] + at] = mask, b""

    def insert(self, direction: str, at: int, noise: bytes) -> None:
        """Put `noise` before the `at`-th byte from now."""
        self._bytes[direction][self._seen[direction] + at] = -1, noise

    def on_wire(self, direction: str, data: bytes) -> bytes:
        """`data` as it comes out of the wire."""
        due = self._bytes[direction]
        if not due:
            self._seen[direction] += len(data)
            return data
        out = bytearray()
        for byte in data:
            self._seen[direction] += 1
            mask, noise = due.pop(self._seen[direction], (None, b""))
            if mask == 0:
                continue
            out += noise
            out.append(byte if mask is None or mask < 0 else byte ^ mask)
        return bytes(out)
