"""The PN532's host link (HSU): frames taken from a stream of bytes and made, and what a wrong rate does to bytes.

    00 00 FF LEN LCS D4 command ... DCS 00          normal: LEN + LCS = 0, D4 + ... + DCS = 0 (mod 256)
    00 00 FF FF FF LENM LENL LCS D4 ... DCS 00      extended
    00 00 FF 00 FF 00 / 00 00 FF FF 00 00           ACK / NACK

Source: UM0701-02 section 6.2; libnfc libnfc/chips/pn53x.c.
"""

ACK = bytes.fromhex("0000FF00FF00")
NACK = bytes.fromhex("0000FFFF0000")
ERROR = bytes.fromhex("0000FF01FF7F8100")  # "I do not know this command"
TO_CHIP, TO_HOST = 0xD4, 0xD5
RATES = (9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600, 1288000)

_MOST = 265  # bytes of an extended frame from TFI on


def build(data: bytes) -> bytes:
    """The frame around `data`, which begins with its direction byte D4 or D5."""
    if len(data) > 255:
        high, low = len(data) >> 8, len(data) & 255
        head = bytes([0xFF, 0xFF, high, low, -(high + low) & 255])
    else:
        head = bytes([len(data), -len(data) & 255])
    return b"\0\0\xff" + head + data + bytes([-sum(data) & 255, 0])


class FrameReader:
    """Finds frames in the stream towards the chip; garbage between them is passed over.

    A frame whose checksum is wrong is dropped whole, as far as its length says.
    """

    def __init__(self):
        self._bytes = bytearray()

    def reset(self) -> None:
        self._bytes.clear()

    def feed(self, byte: int) -> bytes | None:
        """Take one byte; gives ACK, NACK or the contents of a command frame (D4 first) when one is complete."""
        self._bytes.append(byte)
        while True:
            start = self._bytes.find(b"\0\xff")
            if start < 0:
                del self._bytes[:-1]
                return None
            del self._bytes[:start]
            outcome = self._parse()
            if outcome is not _GARBAGE:
                return outcome
            del self._bytes[0]

    def _parse(self) -> bytes | None:
        """What stands at the start code, None while it is incomplete, _GARBAGE when nothing does."""
        got = self._bytes
        if len(got) < 4:
            return None
        length, check = got[2], got[3]
        if (length, check) in ((0, 255), (255, 0)):
            got.clear()
            return NACK if length else ACK
        at = 4
        if length == 255 and check == 255:
            if len(got) < 7:
                return None
            at, length, check = 7, got[4] << 8 | got[5], got[4] + got[5] + got[6]
        else:
            check += length
        if check & 255 or not 0 < length <= _MOST:
            return _GARBAGE
        if len(got) < at + length + 1:
            return None
        body = bytes(got[at : at + length])
        is_right = sum(got[at : at + length + 1]) & 255 == 0
        got.clear()
        return body if is_right and body[0] == TO_CHIP else None


_GARBAGE = b"garbage"


def at_other_rate(data: bytes, sent: int, heard: int) -> bytes:
    """What a receiver at `heard` baud takes from `data` sent at `sent` baud, 8N1, the line idle around them."""
    if sent == heard:
        return data
    levels = "1" + "".join("0" + "{:08b}".format(byte)[::-1] + "1" for byte in data) + "1"
    out, at = bytearray(), 0.0
    step = sent / heard  # one bit of the receiver in bits of the sender
    while True:
        falling = levels.find("0", int(at))
        if falling < 0:
            return bytes(out)
        sampled = [int(falling + step * (bit + 1.5)) for bit in range(8)]
        out.append(sum((levels[s] == "1" if s < len(levels) else 1) << bit for bit, s in enumerate(sampled)))
        at = falling + step * 9.5
        if int(at) >= len(levels):
            return bytes(out)
        if levels[int(at)] == "0":  # a framing error: the receiver waits for the line to be idle
            at = max(levels.find("1", int(at)), 0)


def rising_edges(byte: int) -> int:
    """Changes from 0 to 1 on the line while `byte` is sent: what wakes a sleeping chip, five of them are needed."""
    bits = "0" + "{:08b}".format(byte)[::-1] + "1"
    return bits.count("01")
