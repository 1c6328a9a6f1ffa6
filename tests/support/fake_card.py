"""A purse card and a reader for unit and flow tests, in the subset that both runtimes share.

The card's cryptography is written here a second time, block by block on ECB: the firmware's codec is not used.
"""

from binascii import crc32
from struct import pack, unpack

from cryptolib import aes

from kassette.errors import CardLost

_MASK = (1 << 128) - 1


def _int(block):
    return int.from_bytes(block, "big")


def _block(number):
    return number.to_bytes(16, "big")


class _Cipher:
    def __init__(self, key):
        self._key = bytes(key)
        doubled = self._double(_int(self.encrypt(bytes(16))))
        self._subkeys = (doubled, self._double(doubled))

    def _double(self, number):
        return (number << 1 & _MASK) ^ (0x87 if number >> 127 else 0)

    def encrypt(self, block):
        return aes(self._key, 1).encrypt(block)

    def decrypt(self, block):
        return aes(self._key, 1).decrypt(block)

    def cbc_encrypt(self, data, iv):
        out = b""
        for at in range(0, len(data), 16):
            iv = self.encrypt(_block(_int(data[at : at + 16]) ^ _int(iv)))
            out += iv
        return out

    def cbc_decrypt(self, data, iv):
        out = b""
        for at in range(0, len(data), 16):
            block = data[at : at + 16]
            out += _block(_int(self.decrypt(block)) ^ _int(iv))
            iv = block
        return out

    def cmac(self, data, iv):
        whole = len(data) // 16 * 16
        if whole == len(data) and whole:
            whole -= 16
        last = data[whole:]
        if len(last) == 16:
            last = _block(_int(last) ^ self._subkeys[0])
        else:
            last = _block(_int(last + b"\x80" + bytes(15 - len(last))) ^ self._subkeys[1])
        return self.cbc_encrypt(data[:whole] + last, iv)[-16:]


def _crc(data):
    return pack("<I", crc32(data) ^ 0xFFFFFFFF)


def _rotate(block):
    return block[1:] + block[:1]


class FakeCard:
    """An EV1 card with the purse application; `keys` maps key numbers to 16-byte keys of this card."""

    def __init__(self, uid, keys, header, records, value, capacity=9):
        self.uid = uid
        self.keys = keys
        self.header = header
        self.records = list(records)  # newest first
        self.value = value
        self.capacity = capacity
        self.rnd_b = bytes(range(16))
        self.tamper = {}  # command code -> function of the answer
        self.commits = 0
        self.log = []  # the command codes it ran
        self.power_off()

    def power_off(self):
        self._selected = False
        self._forget()

    def _forget(self):
        self._cipher = None
        self._rnd_a = None
        self._pending_debit = 0
        self._pending_record = None

    def answer(self, command):
        command = bytes(command)
        self.log.append(command[0])
        answer = self._run(command)
        if answer[0] not in (0x00, 0xAF):
            self._forget()
        if command[0] in self.tamper:
            answer = self.tamper[command[0]](answer)
        return answer

    def _run(self, command):
        code = command[0]
        if code == 0x5A:
            self.power_off()
            self._selected = command[1:] == b"KST"
            return b"\x00" if self._selected else b"\xa0"
        if not self._selected:
            return b"\x9d"
        if code == 0xAA:
            return self._authenticate(command[1])
        if code == 0xAF and self._rnd_a is None and self._cipher:
            return self._confirm(command[1:])
        if self._rnd_a is None:
            return b"\xae"
        return self._secured(code, command)

    def _authenticate(self, number):
        if number not in self.keys:
            return b"\x40"
        self._forget()
        self._cipher = _Cipher(self.keys[number])
        self._iv = self._cipher.cbc_encrypt(self.rnd_b, bytes(16))
        return b"\xaf" + self._iv

    def _confirm(self, token):
        plain = self._cipher.cbc_decrypt(token, self._iv)
        if plain[16:] != _rotate(self.rnd_b):
            return b"\xae"
        a, b = plain[:16], self.rnd_b
        proof = self._cipher.cbc_encrypt(_rotate(a), token[-16:])
        self._rnd_a = a
        self._cipher = _Cipher(a[:4] + b[:4] + a[12:] + b[12:])
        self._iv = bytes(16)
        return b"\x00" + proof

    def _secured(self, code, command):
        if code == 0x3B:
            return self._write(command)
        shown = 8 if code == 0xDC else 0
        clear = command[: len(command) - shown]
        self._iv = self._cipher.cmac(clear, self._iv)
        if shown and command[-8:] != self._iv[:8]:
            return b"\x1e"
        if code == 0xBD and clear == b"\xbd\x01\x00\x00\x00\x20\x00\x00":
            return self._maced(self.header)
        if code == 0x6C and clear == b"\x6c\x02":
            return self._maced(pack("<i", self.value))
        if code == 0xBB and clear[:2] == b"\xbb\x03" and clear[3:] == b"\x00\x00\x01\x00\x00":
            return self._read(clear[2])
        if code == 0xDC and clear[1] == 2:
            amount = unpack("<i", clear[2:])[0]
            if amount < 0 or self.value - self._pending_debit - amount < 0:
                return b"\xbe"
            self._pending_debit += amount
            return self._maced(b"")
        if code == 0xC7:
            return self._commit()
        return b"\x1c"

    def _read(self, back):
        if back >= len(self.records):
            return b"\xbe"
        data = self.records[back]
        secret = self._cipher.cbc_encrypt(data + _crc(data + b"\x00") + bytes(12), self._iv)
        self._iv = secret[-16:]
        return b"\x00" + secret

    def _write(self, command):
        head, secret = command[:8], command[8:]
        if head != b"\x3b\x03\x00\x00\x00\x20\x00\x00" or len(secret) != 48:
            return b"\x7e"
        plain = self._cipher.cbc_decrypt(secret, self._iv)
        self._iv = secret[-16:]
        if plain[32:36] != _crc(head + plain[:32]) or plain[36:] != bytes(12):
            return b"\x1e"
        self._pending_record = plain[:32]
        return self._maced(b"")

    def _commit(self):
        if not self._pending_debit and not self._pending_record:
            return b"\x0c"
        self.value -= self._pending_debit
        if self._pending_record:
            self.records = [self._pending_record] + self.records[: self.capacity - 1]
        self._pending_debit = 0
        self._pending_record = None
        self.commits += 1
        return self._maced(b"")

    def _maced(self, data):
        self._iv = self._cipher.cmac(data + b"\x00", self._iv)
        return b"\x00" + data + self._iv[:8]


class FakeReader:
    """`exchange` with one card; `lose_before` and `lose_after` are the numbers (from 0) of exchanges that fail."""

    def __init__(self, card):
        self.card = card
        self.count = 0
        self.lose_before = self.lose_after = -1

    def tap(self):
        """The card is held to the reader again: it starts afresh, and so does the count."""
        self.card.power_off()
        self.count = 0
        self.lose_before = self.lose_after = -1

    async def exchange(self, command):
        number = self.count
        self.count += 1
        if number == self.lose_before:
            self._lose()
        answer = self.card.answer(command)
        if number == self.lose_after:
            self._lose()
        return memoryview(answer)

    def _lose(self):
        self.card.power_off()
        raise CardLost(110, 1)
