"""The reader's half of ISO-DEP, as the PN532 does it by itself for InDataExchange.

Source: ISO/IEC 14443-4, 7.5.4.2 (rules 1 to 8 of a PCD); the number of repetitions is an assumption.
"""

from collections.abc import Generator

from kassette_host.virtual.isodep import FRAME_SIZES
from kassette_host.virtual.radio import PROTOCOL, Radio, RadioError, Wait, Waits

FSDI = 5  # the PN532 takes blocks of 64 bytes
_REPEATS = 2
_ACTIVATION_TIMEOUT_US = 102_400
_FWT_UNIT_US = 4096 / 13.56


class ReaderProtocol:
    """One activated card, block numbers and all. `card_id` is the CID, 0 for none."""

    def __init__(self, radio: Radio, ats: bytes, card_id: int = 0):
        self._radio = radio
        self._card_id = card_id
        self._number = 0
        self._part_len = FRAME_SIZES[min(ats[1] & 15, 8)] - 3 - (card_id > 0)
        waiting = ats[2 + (ats[1] >> 4 & 1)] >> 4 if ats[1] & 0x20 else 4
        self._timeout_us = int(_FWT_UNIT_US * (1 << waiting)) + 3624
        self.has_more = False  # the card's answer goes on: fetch it with `next_part`

    def send(self, data: bytes, is_last: bool) -> Wait:
        """Send (a part of) a command; the first part of the answer, or nothing if not `is_last`. Raises RadioError."""
        answer = b""
        parts = [data[at : at + self._part_len] for at in range(0, len(data), self._part_len)] or [b""]
        for i, part in enumerate(parts):
            more = 0x10 if i + 1 < len(parts) or not is_last else 0
            answer = yield from self._transact(0x02 | more | self._number, part)
        if not is_last:
            return b""
        return self._taken(answer)

    def next_part(self) -> Wait:
        """The next part of a chained answer. Raises RadioError."""
        answer = yield from self._transact(0xA2 | self._number, b"")
        return self._taken(answer)

    def set_rate(self, rate: int) -> Generator[Waits, None, None]:
        """PPS, right after the activation: 0, 1, 2 for 106, 212, 424 kbit/s both ways. Raises RadioError."""
        yield from self._radio.exchange(bytes([0xD0 | self._card_id, 0x11, rate << 2 | rate]), _ACTIVATION_TIMEOUT_US)
        self._radio.rate = rate

    def deselect(self) -> Wait:
        return (yield from self._once(self._frame(0xC2, b"")))

    def is_there(self) -> Generator[Waits, None, bool]:
        """Whether the card still answers an R(NAK)."""
        try:
            yield from self._once(self._frame(0xB2 | self._number, b""))
        except RadioError:
            return False
        return True

    def _taken(self, answer: bytes) -> bytes:
        if answer[0] & 0xE2 != 0x02:
            raise RadioError(PROTOCOL)
        self.has_more = bool(answer[0] & 0x10)
        return answer[1 + bool(answer[0] & 8) :]

    def _frame(self, pcb: int, body: bytes) -> bytes:
        return (bytes([pcb | 8, self._card_id]) if self._card_id else bytes([pcb])) + body

    def _once(self, frame: bytes, extension: int = 1) -> Wait:
        """One block and its answer, granting whatever waiting time the card asks for."""
        answer = yield from self._radio.exchange(frame, self._timeout_us * extension)
        while answer and answer[0] & 0xF7 == 0xF2:
            times = answer[-1] & 0x3F
            granted = self._frame(0xF2, bytes([times]))
            answer = yield from self._radio.exchange(granted, self._timeout_us * max(1, times))
        if not answer:
            raise RadioError(PROTOCOL)
        return answer

    def _transact(self, pcb: int, body: bytes) -> Wait:
        """A block until it is answered (rules 4, 5 and 6); the block number moves on with it."""
        own = sent = self._frame(pcb, body)
        status = PROTOCOL
        for _ in range(_REPEATS + 1):
            try:
                answer = yield from self._once(sent)
            except RadioError as error:
                status = error.status
                sent = own if own[0] & 0xC0 == 0x80 else self._frame(0xB2 | self._number, b"")
                continue
            if answer[0] & 0xE6 == 0xA2 and answer[0] & 1 != self._number:
                sent = own  # rule 6: the card never saw our block
                continue
            if answer[0] & 1 != self._number:
                raise RadioError(PROTOCOL)
            self._number ^= 1
            return answer
        raise RadioError(status)


def activate(radio: Radio, card_id: int = 0) -> Wait:
    """RATS: the ATS of the card just selected. Raises RadioError."""
    return (yield from radio.exchange(bytes([0xE0, FSDI << 4 | card_id]), _ACTIVATION_TIMEOUT_US))
