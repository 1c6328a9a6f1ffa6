"""The card's half of ISO-DEP: RATS and PPS, blocks with their numbers, chaining, repetition, waiting, deselection.

A card never starts talking and never repeats by itself; it follows the rules of a PICC.
Source: ISO/IEC 14443-4, 5.6 (activation), 7.1 (block format), 7.5.4 (rules B, C, D, E and 10 to 13).
"""

from collections.abc import Callable

from kassette_host.virtual.iso14443a import CardA

FRAME_SIZES = (16, 24, 32, 40, 48, 64, 96, 128, 256)
_RATS = 0xE0
_DESELECT, _WTX = 0xC2, 0xF2
_BLOCK_EXTRA = 3  # PCB and checksum


class BlockProtocol:
    """From an activation to the next. `execute` runs a whole command and gives its whole answer."""

    def __init__(self, execute: Callable[[bytes], bytes], frame_len: int, card_id: int):
        self._execute = execute
        self._part_len = min(frame_len, 256) - _BLOCK_EXTRA - (card_id > 0)
        self._card_id = card_id
        self._number = 1  # rule C: an activated card starts with 1
        self._command = b""
        self._answer = b""
        self._last = b""
        self.extra_waits = 0  # ask for so many waiting time extensions before the next answer
        self._is_waiting = False
        self._is_fresh = True
        self.is_deselected = False

    def receive(self, block: bytes) -> bytes | None:
        """The answer to one block, both with PCB and without checksum; None for silence."""
        if block and block[0] == 0xD0 | self._card_id:
            return self._select_rate(block)
        self._is_fresh = False
        body = self._own(block)
        if body is None:
            return None
        pcb = block[0]
        if pcb & 0xE2 == 0x02:
            return self._information(pcb, body)
        if pcb & 0xE6 == 0xA2:
            return self._acknowledge(pcb)
        if pcb & 0xF7 == _DESELECT:
            self.is_deselected = True
            return self._block(_DESELECT, b"")
        if pcb & 0xF7 == _WTX and self._is_waiting:
            return self._after_wait()
        return None

    def _select_rate(self, block: bytes) -> bytes | None:
        """PPS, right after the activation only: any rate is fine here."""
        is_right = len(block) == 3 and block[1] == 0x11 and block[2] & 0xF0 == 0
        return block[:1] if self._is_fresh and is_right else None

    def _own(self, block: bytes) -> bytes | None:
        """What follows the prologue, if the block is for this card (rules of the CID field)."""
        if not block:
            return None
        if not block[0] & 0x08:
            return block[1:] if self._card_id == 0 else None
        return block[2:] if len(block) > 1 and block[1] & 15 == self._card_id else None

    def _block(self, pcb: int, body: bytes) -> bytes:
        head = bytes([pcb | 0x08, self._card_id]) if self._card_id else bytes([pcb])
        self._last = head + body
        return self._last

    def _information(self, pcb: int, body: bytes) -> bytes:
        self._number ^= 1  # rule D: whatever number the reader's block has
        self._is_waiting = False
        self._command += body
        if pcb & 0x10:
            return self._block(0xA2 | self._number, b"")
        command, self._command = self._command, b""
        self._answer = self._execute(command)
        if self.extra_waits:
            self._is_waiting = True
            return self._block(_WTX, b"\x01")
        return self._next_part()

    def _after_wait(self) -> bytes:
        self.extra_waits -= 1
        if self.extra_waits:
            return self._block(_WTX, b"\x01")
        self._is_waiting = False
        return self._next_part()

    def _next_part(self) -> bytes:
        part, self._answer = self._answer[: self._part_len], self._answer[self._part_len :]
        return self._block(0x02 | (0x10 if self._answer else 0) | self._number, part)

    def _acknowledge(self, pcb: int) -> bytes | None:
        if pcb & 1 == self._number:
            return self._last  # rule 11: the reader has not understood our last block
        if pcb & 0x10:
            return self._block(0xA2 | self._number, b"")  # rule 12: it repeats a block that we never saw
        if self._answer:
            self._number ^= 1  # rules E and 13: go on with the chain
            return self._next_part()
        return None


class Type4ACard(CardA):
    """A card of type A that speaks ISO-DEP; what it does with commands is up to `execute`."""

    sak = 0x20
    ats = bytes.fromhex("067577810280")

    def __init__(self, uid: bytes):
        super().__init__(uid)
        self.protocol: BlockProtocol | None = None

    def execute(self, command: bytes) -> bytes:
        """Run one command that arrived whole. The base card knows no command at all (6D00)."""
        return b"\x6d\x00"

    def work_us(self) -> int:
        """How long the command just run took the card."""
        return 500

    def reset(self) -> None:
        self.protocol = None

    def answer(self, inner: bytes) -> bytes | None:
        if self.protocol is None:
            return self._activate(inner)
        if len(inner) + 2 > FRAME_SIZES[self.ats[1] & 15]:
            return None  # more than the card's buffer holds
        before = self.delay_us
        answer = self.protocol.receive(inner)
        if answer is not None and inner[0] & 0xE2 == 0x02 and not inner[0] & 0x10:
            self.delay_us = before + self.work_us()
        if self.protocol.is_deselected:
            self.reset()
            self.halt()
        return answer

    def _activate(self, inner: bytes) -> bytes | None:
        if inner[0] != _RATS or len(inner) != 2 or inner[1] >> 4 > 8 or inner[1] & 15 == 15:
            return super().answer(inner)
        self.reset()
        self.protocol = BlockProtocol(self.execute, FRAME_SIZES[inner[1] >> 4], inner[1] & 15)
        self.enter_protocol()
        self.delay_us += 2000
        return self.ats


def activate(card: Type4ACard) -> Callable[[bytes], bytes]:
    """Put a card into a field of its own, without reader or radio, and give a function that runs one command on it."""
    card.power_off()
    card.power_on()
    return card.execute
