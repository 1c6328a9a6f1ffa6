"""What the virtual PN532 does with cards: finding, exchanging, releasing them.

Where UM0701-02 leaves a choice, what libnfc and nfcpy see on real chips decides: InListPassiveTarget sends REQA, so a
halted card is passed over unless it is named by its UID; InDeselect and InRelease answer 00 also without a target.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING

from kassette_host.virtual import isodep_reader, radio
from kassette_host.virtual.iso14443a import with_crc, without_crc
from kassette_host.virtual.isodep_reader import ReaderProtocol
from kassette_host.virtual.pn532_chip import (
    BIT_FRAMING,
    CRC_ON,
    ENDLESS,
    FIFO,
    NOT_ACCEPTABLE,
    OK,
    RX_MODE,
    TX_MODE,
    Handler,
    need,
)
from kassette_host.virtual.radio import RadioError, UntilChange, Wait, Waits

if TYPE_CHECKING:
    from kassette_host.virtual.pn532 import VirtualPN532

_MORE = 0x40
_ANSWER_LEN = 262  # data bytes of one InDataExchange answer
_ATTEMPT_US = 3600  # from one REQA to the next, when nobody answers
_PAUSE_US = 2515  # what of it follows an attempt that failed
_AUTO_RATS = 0x10
_FRAMING = 0x03


class Target:
    """A card that the chip has selected, under its number."""

    def __init__(self, number: int, atqa: bytes, sak: int, uid: bytes, ats: bytes, protocol: ReaderProtocol | None):
        self.atqa, self.sak, self.uid, self.ats = atqa, sak, uid, ats
        self.number = number
        self.protocol = protocol
        self.is_selected = True
        self.rest = b""

    def describe(self) -> bytes:
        head = bytes([self.number, self.atqa[1], self.atqa[0], self.sak, len(self.uid)])
        return head + self.uid + self.ats


def _list_passive_target(chip: "VirtualPN532", p: bytes) -> Wait:
    need(len(p) >= 2 and 1 <= p[0] <= 2 and p[1] <= 4)
    chip.targets.clear()
    yield from chip.radio.ready()
    attempts = chip.settings.retry_passive + 1
    found: list[Target] = []
    while attempts and not found:
        if not chip.radio.cards or p[1]:
            attempts = yield from _watch(chip, attempts)
            continue
        found = yield from _find_a(chip, p[0], p[2:])
        if not found:
            yield _PAUSE_US
            attempts -= chip.settings.retry_passive != ENDLESS
    chip.targets = {target.number: target for target in found}
    return bytes([len(found)]) + b"".join(target.describe() for target in found)


def _watch(chip: "VirtualPN532", attempts: int) -> Generator[Waits, None, int]:
    """Attempts in an empty field, or for cards that do not exist here, all in one wait; how many are left after it.

    A change in the field ends it with the attempt during which it happened.
    """
    chip.settings.registers[FIFO] = 0x26
    chip.settings.last_error = radio.TIMEOUT
    is_endless = chip.settings.retry_passive == ENDLESS
    started = chip.port.now_us
    yield UntilChange(None if is_endless else attempts * _ATTEMPT_US)
    gone_us = chip.port.now_us - started
    begun = -(-gone_us // _ATTEMPT_US)
    yield begun * _ATTEMPT_US - gone_us
    return attempts if is_endless else attempts - begun


def _find_a(chip: "VirtualPN532", most: int, named: bytes) -> Generator[Waits, None, list[Target]]:
    """Up to `most` cards of type A that answer REQA, or the one that is named by its UID (with cascade tags)."""
    found: list[Target] = []
    chip.settings.registers[TX_MODE] = chip.settings.registers[RX_MODE] = CRC_ON
    chip.settings.registers[FIFO] = 0x26
    chip.radio.rate = 0
    while len(found) < most:
        try:
            number = len(found) + 1
            found.append((yield from _activate(chip, number, number if most > 1 else 0, _without_tags(named))))
        except RadioError as error:
            chip.settings.last_error = error.status
            break
        chip.settings.registers[FIFO] = 0
    return found


def _without_tags(named: bytes) -> bytes:
    """A UID as the host names it, 88h before each incomplete level, in its plain form."""
    if len(named) > 4 and named[0] == 0x88:
        return named[1:4] + _without_tags(named[4:])
    return named


def _activate(chip: "VirtualPN532", number: int, card_id: int, uid: bytes) -> Generator[Waits, None, Target]:
    if uid:
        atqa, sak, uid = yield from chip.radio.select_uid(uid)
    else:
        atqa, sak, uid = yield from chip.radio.select_any()
    if not (sak & 0x20 and chip.settings.parameters & _AUTO_RATS):
        return Target(number, atqa, sak, uid, b"", None)
    ats = yield from isodep_reader.activate(chip.radio, card_id)
    return Target(number, atqa, sak, uid, ats, ReaderProtocol(chip.radio, ats, card_id))


def _selected(chip: "VirtualPN532", number: int) -> Target | None:
    target = chip.targets.get(number)
    return target if target and target.is_selected else None


def _data_exchange(chip: "VirtualPN532", p: bytes) -> Wait:
    need(1 <= len(p) <= 263)
    target = _selected(chip, p[0] & 0x3F)
    yield 100
    if target is None:
        return bytes([NOT_ACCEPTABLE])
    try:
        if target.protocol is None:
            return OK + (yield from chip.radio.exchange(p[1:], chip.settings.timeout_us()))
        return (yield from _dep_exchange(target, target.protocol, p[1:], bool(p[0] & _MORE)))
    except RadioError as error:
        target.rest = b""
        chip.settings.last_error = error.status
        return bytes([error.status])


def _dep_exchange(target: Target, protocol: ReaderProtocol, data: bytes, is_unfinished: bool) -> Wait:
    """One command, or the next part of a long command or answer. Raises RadioError."""
    if target.rest and not data:
        answer, target.rest = target.rest, b""
    else:
        target.rest = b""
        answer = yield from protocol.send(data, not is_unfinished)
    while protocol.has_more and len(answer) <= _ANSWER_LEN:
        answer += yield from protocol.next_part()
    if len(answer) > _ANSWER_LEN:
        answer, target.rest = answer[:_ANSWER_LEN], answer[_ANSWER_LEN:]
        return bytes([_MORE]) + answer
    return OK + answer


def _communicate_thru(chip: "VirtualPN532", p: bytes) -> Wait:
    """Bytes as they are to whoever listens; checksums and the bits of the last byte as the registers say."""
    registers, settings = chip.settings.registers, chip.settings
    need(len(p) <= 264)
    yield 100
    is_type_a = registers[TX_MODE] & _FRAMING == 0
    frame = with_crc(p) if registers[TX_MODE] & CRC_ON else p
    last = registers.get(BIT_FRAMING, 0) & 7
    bits = 8 * len(frame) - (8 - last if last else 0)
    status = radio.TIMEOUT
    for _ in range(settings.retry_com + 1):
        try:
            if not is_type_a or not p:
                yield settings.timeout_us()
                break
            answer = yield from chip.radio.exchange_raw(frame, bits, settings.timeout_us())
        except RadioError as error:
            status = error.status
            continue
        if not registers[RX_MODE] & CRC_ON:
            return OK + answer
        plain = without_crc(answer)
        if plain is not None:
            return OK + plain
        status = radio.CRC
    settings.last_error = status
    return bytes([status])


def _psl(chip: "VirtualPN532", p: bytes) -> Wait:
    """InPSL: another rate, here the same in both directions."""
    need(len(p) == 3 and p[1] == p[2] <= 2)
    target = _selected(chip, p[0])
    yield 100
    if target is None or target.protocol is None:
        return bytes([NOT_ACCEPTABLE])
    try:
        yield from target.protocol.set_rate(p[1])
    except RadioError as error:
        return bytes([error.status])
    return OK


def _deselect(chip: "VirtualPN532", p: bytes) -> Wait:
    """InDeselect: the card (0: every card) is halted, but remembered for InSelect."""
    need(len(p) == 1)
    yield 100
    for target in list(chip.targets.values()):
        if p[0] in (0, target.number) and target.is_selected:
            yield from _halt(chip, target)
            target.is_selected = False
    return OK


def _halt(chip: "VirtualPN532", target: Target) -> Generator[Waits, None, None]:
    try:
        if target.protocol:
            yield from target.protocol.deselect()
        else:
            yield from chip.radio.exchange(b"\x50\x00", 1000)
    except RadioError:
        return  # gone, or halted: HLTA is never answered
    chip.radio.rate = 0


def _release(chip: "VirtualPN532", p: bytes) -> Wait:
    """InRelease: deselected and forgotten."""
    yield from _deselect(chip, p)
    for number in list(chip.targets):
        if p[0] in (0, number):
            del chip.targets[number]
    return OK


def _select(chip: "VirtualPN532", p: bytes) -> Wait:
    """InSelect: wake a card that was deselected."""
    need(len(p) == 1)
    yield 100
    target = chip.targets.get(p[0])
    if target is None:
        return bytes([NOT_ACCEPTABLE])
    if not target.is_selected:
        try:
            chip.targets[p[0]] = yield from _activate(chip, p[0], 0, target.uid)
        except RadioError as error:
            return bytes([error.status])
    return OK


CARD_COMMANDS: dict[int, Handler] = {
    0x40: _data_exchange,
    0x42: _communicate_thru,
    0x44: _deselect,
    0x4A: _list_passive_target,
    0x4E: _psl,
    0x52: _release,
    0x54: _select,
}
