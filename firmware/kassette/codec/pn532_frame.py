"""Frames of the PN532: a command into a buffer, and answers out of bytes that arrive in any pieces.

    normal    00 00 FF LEN LCS       TFI PD0 .. PDn DCS 00     LEN + LCS = 0, TFI + .. + DCS = 0 (mod 256)
    extended  00 00 FF FF FF MM LL LCS TFI PD0 .. PDn DCS 00   MM + LL + LCS = 0 (mod 256)
    ACK       00 00 FF 00 FF 00        NACK  00 00 FF FF 00 00        error  00 00 FF 01 FF 7F 81 00

TFI is D4 to the chip and D5 from it; PD0 is the command code, plus one in the answer. Preambles and postambles
are not asked for: a frame begins at any 00 FF. Neither building nor parsing allocates.
Source: NXP UM0701-02 section 6.2.1.
"""

from micropython import const

ACK_FRAME = b"\x00\x00\xff\x00\xff\x00"  # to the chip: give up what you are doing
NACK_FRAME = b"\x00\x00\xff\xff\x00\x00"  # to the chip: say the last answer again

MORE = 0
ACK = 1
NACK = 2
ERROR = 3  # the chip did not understand the command
ANSWER = 4
BAD = 5  # a checksum or a length was wrong: the bytes behind the start code are looked at again

_LEN_MAX = const(265)  # TFI and 264 bytes
_SIZE = const(280)  # more than the longest frame, so that a frame that began always fits


def build(buffer: bytearray, command, data=b"") -> int:
    """Write the frame for `command` (code and fixed parameters) and `data` to `buffer`; returns its length.

    The two together are 1..264 bytes; a frame is 8 bytes longer than they are, 11 beyond 254 of them.
    """
    length = 1 + len(command) + len(data)
    buffer[0] = buffer[1] = 0
    buffer[2] = 0xFF
    at = 3
    high = length >> 8
    if high:
        buffer[3] = buffer[4] = 0xFF
        buffer[5] = high
        at = 6
    buffer[at] = length & 0xFF
    buffer[at + 1] = -length - high & 0xFF
    buffer[at + 2] = total = 0xD4
    at += 3
    for byte in command:
        buffer[at] = byte
        total += byte
        at += 1
    for byte in data:
        buffer[at] = byte
        total += byte
        at += 1
    buffer[at] = -total & 0xFF
    buffer[at + 1] = 0
    return at + 2


class FrameParser:
    """Put received bytes into `room()`, tell `feed` how many, then ask `next` until it says MORE."""

    def __init__(self):
        self.view = memoryview(bytearray(_SIZE))
        self.start = 0  # after ANSWER: the code and data lie at view[start:end], until `room` is called
        self.end = 0
        self._at = 0  # not looked at yet: view[_at:_filled]
        self._filled = 0

    def clear(self) -> None:
        """Forget everything received."""
        self._at = self._filled = 0

    def room(self) -> memoryview:
        """Where the next bytes go: at least one, once `next` has said MORE."""
        view = self.view
        for i in range(self._at, self._filled):
            view[i - self._at] = view[i]
        self._filled -= self._at
        self._at = 0
        return view[self._filled :]

    def feed(self, count: int) -> None:
        self._filled += count

    def is_begun(self) -> bool:
        """Whether a frame has begun that has not ended."""
        return self._filled - self._at > 1

    def next(self) -> int:
        """What comes next in the bytes fed so far: MORE, ACK, NACK, ERROR, ANSWER or BAD."""
        view = self.view
        at = self._at
        while at + 1 < self._filled and (view[at] or view[at + 1] != 0xFF):
            at += 1
        self._at = at
        have = self._filled - at
        if have < 4:
            return MORE
        length = view[at + 2]
        check = view[at + 3]
        if length + check == 0xFF and (length == 0 or check == 0):
            self._at = at + 4
            return NACK if length else ACK
        start = 4
        if length == 0xFF and check == 0xFF:
            if have < 7:
                return MORE
            start = 7
            length = view[at + 4] << 8 | view[at + 5]
            check = (length >> 8) + length + view[at + 6]
        else:
            check += length
        self._at = at + 2
        if check & 0xFF or not 0 < length <= _LEN_MAX:
            return BAD
        if have <= start + length:
            self._at = at
            return MORE
        start += at
        for i in range(start, start + length + 1):
            check += view[i]
        if check & 0xFF:
            return BAD
        self.start = start + 1
        self.end = self._at = start + length
        if view[start] == 0xD5 and length > 1:
            return ANSWER
        return ERROR if view[start] == 0x7F else BAD
