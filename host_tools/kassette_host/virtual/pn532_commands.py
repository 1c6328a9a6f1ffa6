"""What the virtual PN532 does for each command of the host. A command is a generator: it yields the time it takes.

Where UM0701-02 leaves a choice, what libnfc and nfcpy see on real chips decides: InListPassiveTarget sends REQA, so a
halted card is passed over unless it is named by its UID; InDeselect and InRelease answer 00 also without a target.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING

from kassette_host.virtual import isodep_reader, radio
from kassette_host.virtual.hsu import RATES
from kassette_host.virtual.iso14443a import with_crc, without_crc
from kassette_host.virtual.isodep_reader import ReaderProtocol
from kassette_host.virtual.radio import RadioError

if TYPE_CHECKING:
    from kassette_host.virtual.pn532 import VirtualPN532

Steps = Generator[int | None, None, bytes]

FIRMWARE_VERSION = bytes.fromhex("32010607")

NOT_ACCEPTABLE = 0x27
_OK = b"\x00"
_MORE = 0x40
_ANSWER_LEN = 262  # data bytes of one InDataExchange answer
_ATTEMPT_US = 2500  # from one REQA to the next
_PROBE_US = 5000  # one attempt to find a card of another kind
_ENDLESS = 0xFF
_AUTO_RATS = 0x10
_WAKE_BY_HSU = 0x10

_TX_MODE, _RX_MODE, _BIT_FRAMING, _FIFO = 0x6302, 0x6303, 0x633D, 0x6339
_CRC_ON, _FRAMING = 0x80, 0x03


class SyntaxFault(Exception):
    """The chip does not understand the command: it answers with an error frame."""


class Settings:
    """What the host may set, with the values after a reset."""

    def __init__(self):
        self.parameters = 0x14
        self.retry_com = 0
        self.retry_passive = _ENDLESS
        self.timeout_code = 0x0A
        self.last_error = 0
        self.sam_mode = 1
        self.registers = {_TX_MODE: _CRC_ON, _RX_MODE: _CRC_ON, 0x6305: 0x40, 0x6327: 0x80}

    def timeout_us(self) -> int:
        """How long InCommunicateThru waits: 100 us doubled, or for ever (an hour) for 0."""
        return 100 << (self.timeout_code - 1) if self.timeout_code else 3_600_000_000


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


def begin(chip: "VirtualPN532", code: int, parameters: bytes) -> Steps:
    """The steps of a command; an unknown one raises SyntaxFault when it is run."""
    return _COMMANDS.get(code, _unknown)(chip, parameters)


def _need(condition: bool) -> None:
    if not condition:
        raise SyntaxFault


def _unknown(chip: "VirtualPN532", p: bytes) -> Steps:
    raise SyntaxFault
    yield 0


# --- the chip itself


def _diagnose(chip: "VirtualPN532", p: bytes) -> Steps:
    _need(len(p) >= 1)
    yield 100
    if p[0] == 0:
        return p
    _need(p[0] in (1, 2, 4, 6, 7))
    yield 50_000 if p[0] in (1, 2) else 1000
    if p[0] == 6:
        return (yield from _presence(chip))
    return _OK


def _presence(chip: "VirtualPN532") -> Steps:
    target = next((t for t in chip.targets.values() if t.is_selected and t.protocol), None)
    if target is None or target.protocol is None:
        return bytes([NOT_ACCEPTABLE])
    is_there = yield from target.protocol.is_there()
    return _OK if is_there else bytes([radio.TIMEOUT])


def _firmware_version(chip: "VirtualPN532", p: bytes) -> Steps:
    _need(not p)
    yield 100
    return FIRMWARE_VERSION


def _general_status(chip: "VirtualPN532", p: bytes) -> Steps:
    yield 100
    rate = chip.radio.rate
    targets = b"".join(bytes([t.number, rate, rate, 0x10]) for t in chip.targets.values())
    head = bytes([chip.settings.last_error, chip.radio.is_on, len(chip.targets)])
    return head + targets + _OK


def _read_register(chip: "VirtualPN532", p: bytes) -> Steps:
    _need(len(p) >= 2 and len(p) % 2 == 0)
    yield 20 * len(p)
    addresses = [p[i] << 8 | p[i + 1] for i in range(0, len(p), 2)]
    return bytes(chip.settings.registers.get(address, 0) for address in addresses)


def _write_register(chip: "VirtualPN532", p: bytes) -> Steps:
    _need(len(p) >= 3 and len(p) % 3 == 0)
    yield 20 * len(p)
    for i in range(0, len(p), 3):
        chip.settings.registers[p[i] << 8 | p[i + 1]] = p[i + 2]
    return b""


def _read_gpio(chip: "VirtualPN532", p: bytes) -> Steps:
    yield 100
    return bytes([0x3F, 0x06, 0x00])


def _write_gpio(chip: "VirtualPN532", p: bytes) -> Steps:
    _need(len(p) == 2)
    yield 100
    return b""


def _serial_baud_rate(chip: "VirtualPN532", p: bytes) -> Steps:
    _need(len(p) == 1 and p[0] < len(RATES))
    yield 100
    chip.change_baud(RATES[p[0]])
    return b""


def _set_parameters(chip: "VirtualPN532", p: bytes) -> Steps:
    _need(len(p) == 1)
    yield 100
    chip.settings.parameters = p[0]
    return b""


def _sam_configuration(chip: "VirtualPN532", p: bytes) -> Steps:
    _need(1 <= len(p) <= 3 and 1 <= p[0] <= 4)
    yield 500
    chip.settings.sam_mode = p[0]
    return b""


def _power_down(chip: "VirtualPN532", p: bytes) -> Steps:
    _need(1 <= len(p) <= 2)
    yield 100
    chip.sleep(bool(p[0] & _WAKE_BY_HSU))
    return _OK


def _rf_configuration(chip: "VirtualPN532", p: bytes) -> Steps:
    _need(len(p) >= 1 and len(p) - 1 == _RF_ITEMS.get(p[0]))
    yield 200
    item, values = p[0], p[1:]
    if item == 0x01:
        chip.radio.switch(bool(values[0] & 1))
        if not values[0] & 1:
            chip.targets.clear()
    elif item == 0x02:
        chip.settings.timeout_code = min(values[2], 16)
    elif item == 0x04:
        chip.settings.retry_com = values[0]
    elif item == 0x05:
        chip.settings.retry_passive = values[2]
    return b""


_RF_ITEMS = {0x01: 1, 0x02: 3, 0x04: 1, 0x05: 3, 0x0A: 11, 0x0B: 8, 0x0C: 3, 0x0D: 9}


# --- cards


def _list_passive_target(chip: "VirtualPN532", p: bytes) -> Steps:
    _need(len(p) >= 2 and 1 <= p[0] <= 2 and p[1] <= 4)
    chip.targets.clear()
    yield from chip.radio.ready()
    attempts = chip.settings.retry_passive + 1
    while attempts:
        found = yield from (_find_a(chip, p[0], p[2:]) if p[1] == 0 else _find_none())
        if found:
            break
        if chip.settings.retry_passive == _ENDLESS:
            yield None
            continue
        attempts -= 1
        if attempts:
            yield _ATTEMPT_US
    chip.targets = {target.number: target for target in found}
    return bytes([len(found)]) + b"".join(target.describe() for target in found)


def _find_none() -> Generator[int | None, None, list[Target]]:
    """Cards of other kinds (B, FeliCa, Jewel) do not exist here."""
    yield _PROBE_US
    return []


def _find_a(chip: "VirtualPN532", most: int, named: bytes) -> Generator[int | None, None, list[Target]]:
    """Up to `most` cards of type A that answer REQA, or the one that is named by its UID (with cascade tags)."""
    found: list[Target] = []
    chip.settings.registers[_TX_MODE] = chip.settings.registers[_RX_MODE] = _CRC_ON
    chip.settings.registers[_FIFO] = 0x26
    chip.radio.rate = 0
    while len(found) < most:
        try:
            number = len(found) + 1
            found.append((yield from _activate(chip, number, number if most > 1 else 0, _without_tags(named))))
        except RadioError as error:
            chip.settings.last_error = error.status
            break
        chip.settings.registers[_FIFO] = 0
    return found


def _without_tags(named: bytes) -> bytes:
    """A UID as the host names it, 88h before each incomplete level, in its plain form."""
    if len(named) > 4 and named[0] == 0x88:
        return named[1:4] + _without_tags(named[4:])
    return named


def _activate(chip: "VirtualPN532", number: int, card_id: int, uid: bytes) -> Generator[int | None, None, Target]:
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


def _data_exchange(chip: "VirtualPN532", p: bytes) -> Steps:
    _need(1 <= len(p) <= 263)
    target = _selected(chip, p[0] & 0x3F)
    yield 100
    if target is None:
        return bytes([NOT_ACCEPTABLE])
    try:
        if target.protocol is None:
            return _OK + (yield from chip.radio.exchange(p[1:], chip.settings.timeout_us()))
        return (yield from _dep_exchange(target, target.protocol, p[1:], bool(p[0] & _MORE)))
    except RadioError as error:
        target.rest = b""
        chip.settings.last_error = error.status
        return bytes([error.status])


def _dep_exchange(target: Target, protocol: ReaderProtocol, data: bytes, is_unfinished: bool) -> Steps:
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
    return _OK + answer


def _communicate_thru(chip: "VirtualPN532", p: bytes) -> Steps:
    """Bytes as they are to whoever listens; checksums and the bits of the last byte as the registers say."""
    registers, settings = chip.settings.registers, chip.settings
    _need(len(p) <= 264)
    yield 100
    is_type_a = registers[_TX_MODE] & _FRAMING == 0
    frame = with_crc(p) if registers[_TX_MODE] & _CRC_ON else p
    last = registers.get(_BIT_FRAMING, 0) & 7
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
        if not registers[_RX_MODE] & _CRC_ON:
            return _OK + answer
        plain = without_crc(answer)
        if plain is not None:
            return _OK + plain
        status = radio.CRC
    settings.last_error = status
    return bytes([status])


def _psl(chip: "VirtualPN532", p: bytes) -> Steps:
    """InPSL: one rate for both directions, by PPS."""
    _need(len(p) == 3 and p[1] <= 2 and p[2] <= 2)
    target = _selected(chip, p[0])
    yield 100
    if target is None or target.protocol is None:
        return bytes([NOT_ACCEPTABLE])
    try:
        yield from chip.radio.exchange(bytes([0xD0, 0x11, p[2] << 2 | p[1]]), 102_400)
    except RadioError as error:
        return bytes([error.status])
    chip.radio.rate = min(p[1], p[2])
    return _OK


def _deselect(chip: "VirtualPN532", p: bytes) -> Steps:
    """InDeselect: the card (0: every card) is halted, but remembered for InSelect."""
    _need(len(p) == 1)
    yield 100
    for target in list(chip.targets.values()):
        if p[0] in (0, target.number) and target.is_selected:
            yield from _halt(chip, target)
            target.is_selected = False
    return _OK


def _halt(chip: "VirtualPN532", target: Target) -> Generator[int | None, None, None]:
    try:
        if target.protocol:
            yield from target.protocol.deselect()
        else:
            yield from chip.radio.exchange(b"\x50\x00", 1000)
    except RadioError:
        return  # gone, or halted: HLTA is never answered
    chip.radio.rate = 0


def _release(chip: "VirtualPN532", p: bytes) -> Steps:
    """InRelease: deselected and forgotten."""
    yield from _deselect(chip, p)
    for number in list(chip.targets):
        if p[0] in (0, number):
            del chip.targets[number]
    return _OK


def _select(chip: "VirtualPN532", p: bytes) -> Steps:
    """InSelect: wake a card that was deselected."""
    _need(len(p) == 1)
    yield 100
    target = chip.targets.get(p[0])
    if target is None:
        return bytes([NOT_ACCEPTABLE])
    if not target.is_selected:
        try:
            chip.targets[p[0]] = yield from _activate(chip, p[0], 0, target.uid)
        except RadioError as error:
            return bytes([error.status])
    return _OK


_COMMANDS = {
    0x00: _diagnose,
    0x02: _firmware_version,
    0x04: _general_status,
    0x06: _read_register,
    0x08: _write_register,
    0x0C: _read_gpio,
    0x0E: _write_gpio,
    0x10: _serial_baud_rate,
    0x12: _set_parameters,
    0x14: _sam_configuration,
    0x16: _power_down,
    0x32: _rf_configuration,
    0x40: _data_exchange,
    0x42: _communicate_thru,
    0x44: _deselect,
    0x4A: _list_passive_target,
    0x4E: _psl,
    0x52: _release,
    0x54: _select,
}
