"""A contactless card of type A up to its selection: states, anticollision, checksums, power.

A card is asked by `receive(frame, bits)` for every frame on the air and answers with a whole frame or not at all; the
answer's delay is in `delay_us`. Source: ISO/IEC 14443-3 clause 6.
"""

from kassette_host.cards.ev1_crypto import crc16

REQA, WUPA = 0x26, 0x52
_HLTA = b"\x50\x00"
_LEVELS = (0x93, 0x95, 0x97)
_CASCADE_TAG = 0x88
_FRAME_DELAY_US = 86  # 1172 carrier periods

IDLE, READY, ACTIVE, PROTOCOL, HALT = range(5)


def with_crc(frame: bytes) -> bytes:
    """A frame as it goes on the air."""
    return frame + crc16(frame)


def without_crc(frame: bytes) -> bytes | None:
    """The frame's contents, or None when the checksum is wrong."""
    return frame[:-2] if len(frame) > 2 and crc16(frame[:-2]) == frame[-2:] else None


def uid_levels(uid: bytes) -> list[bytes]:
    """The five bytes (four and their exclusive or) that a card shows at each cascade level."""
    rest, out = uid, []
    while rest:
        part, rest = (rest, b"") if len(rest) == 4 else (bytes([_CASCADE_TAG]) + rest[:3], rest[3:])
        out.append(part + bytes([part[0] ^ part[1] ^ part[2] ^ part[3]]))
    return out


def bits_of(data: bytes) -> str:
    """Bits in the order of the air: least significant first."""
    return "".join("{:08b}".format(byte)[::-1] for byte in data)


class CardA:
    """A card without ISO-DEP, for instance a MIFARE Classic: it can be selected, and answers nothing that follows.

    `uid` has 4 or 7 bytes; `atqa` is in the order of the air, as in the data sheets `44 03` is.
    """

    atqa = b"\x04\x00"
    sak = 0x08

    def __init__(self, uid: bytes):
        self.uid = uid
        self.delay_us = _FRAME_DELAY_US
        self.life = 0  # counts how often it lost power
        self._state = IDLE
        self._was_halted = False
        self._level = 0
        self._is_powered = False

    def power_on(self) -> None:
        """The field is there: the card starts from the beginning."""
        self._is_powered = True
        self._to(IDLE)

    def power_off(self) -> None:
        """The field is gone: whatever was not written for good is lost."""
        self._is_powered = False
        self.life += 1
        self._to(IDLE)
        self.reset()

    def reset(self) -> None:
        """Forget everything volatile above the selection."""

    def receive(self, frame: bytes, bits: int) -> bytes | None:
        """The answer to a frame of `bits` bits (7 for the short ones), checksums included; None for silence."""
        self.delay_us = _FRAME_DELAY_US
        if not self._is_powered:
            return None
        if bits == 7:
            return self._wake(frame[0])
        if self._state == READY:
            return self._anticollision(frame, bits)
        inner = without_crc(frame)
        if inner is None:
            return self._mute()
        if self._state == ACTIVE and inner == _HLTA:
            self._to(HALT)
            return None
        answer = self.answer(inner) if self._state in (ACTIVE, PROTOCOL) else None
        return None if answer is None else with_crc(answer)

    def answer(self, inner: bytes) -> bytes | None:
        """The answer to a frame that reached the selected card, both without checksum."""
        return self._mute()

    def _to(self, state: int) -> None:
        self._state, self._level = state, 0

    def halt(self) -> None:
        """Deselected: only WUPA wakes it again."""
        self._was_halted = True
        self._to(HALT)

    def enter_protocol(self) -> None:
        self._to(PROTOCOL)

    def _mute(self) -> None:
        """A frame that makes no sense: fall back to where the card came from, unless ISO-DEP has taken over."""
        if self._state in (READY, ACTIVE):
            self._to(HALT if self._was_halted else IDLE)

    def _wake(self, command: int) -> bytes | None:
        if self._state == PROTOCOL:
            return None
        if self._state in (READY, ACTIVE):
            return self._mute()
        if command == WUPA or (command == REQA and self._state == IDLE):
            self._was_halted = self._state == HALT
            self._to(READY)
            return self.atqa
        return None

    def _anticollision(self, frame: bytes, bits: int) -> bytes | None:
        levels = uid_levels(self.uid)
        if frame[0] != _LEVELS[self._level] or bits < 16:
            return self._mute()
        if frame[1] == 0x70:
            return self._select(frame, levels[self._level])
        known = bits_of(frame[2:])[: bits - 16]
        whole = bits_of(levels[self._level])
        if not whole.startswith(known):
            return self._mute()
        return levels[self._level]

    def _select(self, frame: bytes, own: bytes) -> bytes | None:
        inner = without_crc(frame)
        if inner is None or inner[2:] != own:
            return self._mute()
        if self._level + 1 < len(uid_levels(self.uid)):
            self._level += 1
            return with_crc(b"\x04")
        self._to(ACTIVE)
        return with_crc(bytes([self.sak]))
