"""The field of the virtual reader: which cards are in it, frames across the air in virtual time, selection.

What takes time is a generator: it yields the microseconds to wait, or UntilChange.
Source: ISO/IEC 14443-3; times of devices as measured: a byte at 106 kbit/s takes 85 us, a card needs 5 ms of field.
"""

from collections.abc import Callable, Generator
from typing import NamedTuple

from kassette_host.virtual.faults import Faults
from kassette_host.virtual.iso14443a import REQA, WUPA, CardA, bits_of, uid_levels, with_crc, without_crc


class UntilChange(NamedTuple):
    """Wait until a card comes or goes, but at most `limit_us`."""

    limit_us: int | None


Waits = int | UntilChange
Wait = Generator[Waits, None, bytes]

TIMEOUT, CRC, COLLISION, PROTOCOL = 0x01, 0x02, 0x06, 0x0B

_BYTE_US = 85
_FIELD_GUARD_US = 5000
_REQUEST_TIMEOUT_US = 1000


class RadioError(Exception):
    """An exchange with the card failed; `status` is the PN532's status byte for it."""

    def __init__(self, status: int):
        super().__init__("%02X" % status)
        self.status = status


class _Answering(NamedTuple):
    """An answer on its way; it arrives only if the card has had power all the time."""

    card: CardA
    life: int
    answer: bytes
    delay_us: int


class Radio:
    """`cards` lists what lies in the field; `on_frame(direction, frame)` is told each frame while a card is there.

    The direction is `>` before a card sees the frame and `<` when it has acted and its answer is on the way; frames are
    without checksum. The callback may raise: then the frame has, or has not, reached the card accordingly.
    """

    def __init__(self, faults: Faults, on_change: Callable[[], None]):
        self.cards: list[CardA] = []
        self.faults = faults
        self.on_frame: Callable[[str, bytes], None] = lambda direction, frame: None
        self._on_change = on_change
        self.is_on = False
        self.rate = 0  # 0, 1, 2 for 106, 212, 424 kbit/s

    def put(self, card: CardA) -> None:
        """Lay a card into the field. Putting it twice changes nothing."""
        if card not in self.cards:
            self.cards.append(card)
            if self.is_on:
                card.power_on()
            self._on_change()

    def take(self, card: CardA) -> None:
        """Take it away: it loses power at once."""
        if card in self.cards:
            self.cards.remove(card)
            card.power_off()
            self._on_change()

    def switch(self, is_on: bool) -> None:
        """The field on or off; off, every card forgets what is not written for good."""
        if is_on == self.is_on:
            return
        self.is_on = is_on
        self.rate = 0
        for card in self.cards:
            card.power_on() if is_on else card.power_off()

    def ready(self) -> Generator[Waits, None, None]:
        """Switch the field on if it is off, and give the cards time to start."""
        if not self.is_on:
            self.switch(True)
            yield _FIELD_GUARD_US

    # --- frames

    def exchange(self, inner: bytes, timeout_us: int) -> Wait:
        """Send a frame with checksum and return the answer without. Raises RadioError."""
        answer = yield from self.exchange_raw(with_crc(inner), 8 * (len(inner) + 2), timeout_us)
        plain = without_crc(answer)
        if plain is None:
            raise RadioError(CRC)
        return plain

    def exchange_raw(self, frame: bytes, bits: int, timeout_us: int) -> Wait:
        """Send a frame as it is and return the one answer. Raises RadioError: nobody, or several at once."""
        answers = yield from self._broadcast(frame, bits, timeout_us)
        if len(set(answers)) > 1:
            raise RadioError(COLLISION)
        return answers[0]

    def _broadcast(self, frame: bytes, bits: int, timeout_us: int) -> Generator[Waits, None, list[bytes]]:
        """All cards hear a frame; the answers of those that answer. Raises RadioError(01) when none does."""
        yield self._air_us(frame)
        answering = self._deliver(frame, bits) if self.is_on else []
        if answering:
            yield max(one.delay_us for one in answering) + self._air_us(answering[0].answer)
        answers = [self._heard(one.answer) for one in answering if one.card.life == one.life]
        if not answers:
            yield timeout_us
            raise RadioError(TIMEOUT)
        return answers

    def _heard(self, answer: bytes) -> bytes:
        if not self.faults.spoils():
            return answer
        return bytes([answer[0] ^ 0x04]) + answer[1:]

    def _air_us(self, frame: bytes) -> int:
        return _BYTE_US * len(frame) >> self.rate

    def _deliver(self, frame: bytes, bits: int) -> list[_Answering]:
        """Let every card in the field act on a frame."""
        if not self.cards:
            return []
        inner = without_crc(frame) if bits > 16 else None
        leaves = self.faults.leaves(_command_code(inner)) if _is_command(inner) else ""
        self.on_frame(">", inner or frame)
        if leaves == "before":
            self._everyone_leaves()
        answering = []
        for card in list(self.cards):
            answer = card.receive(frame, bits)
            if answer is not None:
                answering.append(_Answering(card, card.life, answer, card.delay_us))
        if leaves == "after":
            self._everyone_leaves()
        for one in answering:
            if one.card.life == one.life:
                self.on_frame("<", without_crc(one.answer) or one.answer)
        return answering

    def _everyone_leaves(self) -> None:
        for card in list(self.cards):
            self.take(card)

    # --- selection

    def request(self, command: int) -> Generator[Waits, None, bytes]:
        """REQA or WUPA: the answers of all cards over one another, in the order of the air. Raises RadioError(01)."""
        answers = yield from self._broadcast(bytes([command]), 7, _REQUEST_TIMEOUT_US)
        merged = 0
        for answer in answers:
            merged |= int.from_bytes(answer, "big")
        return merged.to_bytes(2, "big")

    def select_any(self) -> Generator[Waits, None, tuple[bytes, int, bytes]]:
        """REQA and anticollision: ATQA, SAK and UID of one card that was not yet selected. Raises RadioError."""
        atqa = yield from self.request(REQA)
        sak, uid = 0x04, b""
        for code in (0x93, 0x95, 0x97):
            shown = yield from self._resolve(code)
            sak = yield from self._choose(code, shown)
            uid += shown[1:4] if sak & 4 else shown[:4]
            if not sak & 4:
                break
        return atqa, sak, uid

    def select_uid(self, uid: bytes) -> Generator[Waits, None, tuple[bytes, int, bytes]]:
        """Wake and select the card with this UID, also when it was halted. Raises RadioError."""
        atqa = yield from self.request(WUPA)
        sak = 0
        for code, shown in zip((0x93, 0x95, 0x97), uid_levels(uid)):
            sak = yield from self._choose(code, shown)
        return atqa, sak, uid

    def _choose(self, code: int, shown: bytes) -> Generator[Waits, None, int]:
        answer = yield from self.exchange(bytes([code, 0x70]) + shown, _REQUEST_TIMEOUT_US)
        return answer[0]

    def _resolve(self, code: int) -> Wait:
        """Anticollision at one cascade level: at each collision go on with the cards that sent a 1.

        The answers hold the whole level here, where cards send only the bits that are still unknown.
        """
        known = ""
        while True:
            full, rest = divmod(len(known), 8)
            sent = int(known[::-1] or "0", 2).to_bytes(full + (rest > 0), "little")
            frame = bytes([code, (2 + full) << 4 | rest]) + sent
            answers = yield from self._broadcast(frame, 16 + len(known), _REQUEST_TIMEOUT_US)
            if len(set(answers)) == 1:
                return answers[0]
            shown = [bits_of(answer) for answer in answers]
            at = next(i for i in range(40) if len({s[i] for s in shown}) > 1)
            known = shown[0][:at] + "1"


def _is_command(inner: bytes | None) -> bool:
    """Whether a frame is an ISO-DEP I-block: a command, or a part of one, for the application."""
    return inner is not None and len(inner) > 1 and inner[0] & 0xE2 == 0x02


def _command_code(inner: bytes | None) -> int | None:
    """The DESFire command code in an I-block, native or wrapped."""
    if inner is None:
        return None
    body = inner[2:] if inner[0] & 8 else inner[1:]
    if not body:
        return None
    return body[1] if body[0] == 0x90 and len(body) > 4 else body[0]
