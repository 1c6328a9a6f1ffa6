"""What the virtual PN532 does for commands to itself. A command is a generator: it yields the microseconds it takes.

Source: UM0701-02 section 7.2; libnfc and nfcpy for what real chips answer.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kassette_host.virtual import radio
from kassette_host.virtual.hsu import RATES
from kassette_host.virtual.radio import Wait

if TYPE_CHECKING:
    from kassette_host.virtual.pn532 import VirtualPN532

Handler = Callable[["VirtualPN532", bytes], Wait]

FIRMWARE_VERSION = bytes.fromhex("32010607")

NOT_ACCEPTABLE = 0x27
OK = b"\x00"
ENDLESS = 0xFF
TX_MODE, RX_MODE, BIT_FRAMING, FIFO = 0x6302, 0x6303, 0x633D, 0x6339
CRC_ON = 0x80

_WAKE_BY_HSU = 0x10


class SyntaxFault(Exception):
    """The chip does not understand the command: it answers with an error frame."""


class Settings:
    """What the host may set, with the values after a reset."""

    def __init__(self):
        self.parameters = 0x14
        self.retry_com = 0
        self.retry_passive = ENDLESS
        self.timeout_code = 0x0A
        self.last_error = 0
        self.sam_mode = 1
        self.registers = {TX_MODE: CRC_ON, RX_MODE: CRC_ON, 0x6305: 0x40, 0x6327: 0x80}

    def timeout_us(self) -> int:
        """How long InCommunicateThru waits: 100 us doubled, or for ever (an hour) for 0."""
        return 100 << (self.timeout_code - 1) if self.timeout_code else 3_600_000_000


def need(condition: bool) -> None:
    """Raise SyntaxFault unless the command is well formed."""
    if not condition:
        raise SyntaxFault


def unknown(chip: "VirtualPN532", p: bytes) -> Wait:
    """Any command that the chip does not have."""
    raise SyntaxFault
    yield 0


def _diagnose(chip: "VirtualPN532", p: bytes) -> Wait:
    need(len(p) >= 1)
    yield 100
    if p[0] == 0:
        return p
    need(p[0] in (1, 2, 4, 6, 7))
    yield 50_000 if p[0] in (1, 2) else 1000
    if p[0] == 6:
        return (yield from _presence(chip))
    return OK


def _presence(chip: "VirtualPN532") -> Wait:
    target = next((t for t in chip.targets.values() if t.is_selected and t.protocol), None)
    if target is None or target.protocol is None:
        return bytes([NOT_ACCEPTABLE])
    is_there = yield from target.protocol.is_there()
    return OK if is_there else bytes([radio.TIMEOUT])


def _firmware_version(chip: "VirtualPN532", p: bytes) -> Wait:
    need(not p)
    yield 100
    return FIRMWARE_VERSION


def _general_status(chip: "VirtualPN532", p: bytes) -> Wait:
    yield 100
    rate = chip.radio.rate
    targets = b"".join(bytes([t.number, rate, rate, 0x10]) for t in chip.targets.values())
    head = bytes([chip.settings.last_error, chip.radio.is_on, len(chip.targets)])
    return head + targets + OK


def _read_register(chip: "VirtualPN532", p: bytes) -> Wait:
    need(len(p) >= 2 and len(p) % 2 == 0)
    yield 20 * len(p)
    addresses = [p[i] << 8 | p[i + 1] for i in range(0, len(p), 2)]
    return bytes(chip.settings.registers.get(address, 0) for address in addresses)


def _write_register(chip: "VirtualPN532", p: bytes) -> Wait:
    need(len(p) >= 3 and len(p) % 3 == 0)
    yield 20 * len(p)
    for i in range(0, len(p), 3):
        chip.settings.registers[p[i] << 8 | p[i + 1]] = p[i + 2]
    return b""


def _read_gpio(chip: "VirtualPN532", p: bytes) -> Wait:
    yield 100
    return bytes([0x3F, 0x06, 0x00])


def _write_gpio(chip: "VirtualPN532", p: bytes) -> Wait:
    need(len(p) == 2)
    yield 100
    return b""


def _serial_baud_rate(chip: "VirtualPN532", p: bytes) -> Wait:
    need(len(p) == 1 and p[0] < len(RATES))
    yield 100
    chip.change_baud(RATES[p[0]])
    return b""


def _set_parameters(chip: "VirtualPN532", p: bytes) -> Wait:
    need(len(p) == 1)
    yield 100
    chip.settings.parameters = p[0]
    return b""


def _sam_configuration(chip: "VirtualPN532", p: bytes) -> Wait:
    need(1 <= len(p) <= 3 and 1 <= p[0] <= 4)
    yield 500
    chip.settings.sam_mode = p[0]
    return b""


def _power_down(chip: "VirtualPN532", p: bytes) -> Wait:
    need(1 <= len(p) <= 2)
    yield 100
    chip.sleep(bool(p[0] & _WAKE_BY_HSU))
    return OK


def _rf_configuration(chip: "VirtualPN532", p: bytes) -> Wait:
    need(len(p) >= 1 and len(p) - 1 == _RF_ITEMS.get(p[0]))
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


CHIP_COMMANDS: dict[int, Handler] = {
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
}
