"""The PN532 on a UART (HSU): finds one card, carries its commands, gives up in bounded time.

A command to a card leaves here at most once: what went wrong after it left is told, never tried again. Commands
to the chip alone are asked a second time, and a garbled answer is asked for with NACK, which runs nothing twice.
No IRQ and no reset line are needed: the chip says ACK and its answer by itself, and an ACK frame to it ends
whatever it is doing. Source: NXP UM0701-02 sections 6 and 7; libnfc pn53x.c.
"""

from micropython import const

from kassette.codec import pn532_frame as frame
from kassette.errors import CardLost, Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kassette.hal import Clock, Uart

_E_SILENT = const(101)
_E_FRAME = const(102)
_E_NOACK = const(103)
_E_STATUS = const(104)
_E_ALARM = const(105)
_E_IDENT = const(106)
_E_LOST = const(110)
_E_TWO_CARDS = const(111)
_E_FOREIGN = const(112)
_E_NO_CARD = const(113)

_BAUD_RESET = const(115200)
_BAUD_FAST = const(230400)
_WAKE_UP = const(b"\x55\x55\0\0\0\0\0\0\0\0\0\0\0\0\0\0")  # UM0701 7.2.11: the chip sleeps in LowVbat after power-up

_GET_FIRMWARE_VERSION = const(b"\x02")
_SET_SERIAL_BAUD_RATE = const(b"\x10\x05")  # 5: 230400
_SAM_CONFIGURATION = const(b"\x14\x01\x14\x01")  # normal mode
_RF_OFF = const(b"\x32\x01\x00")
_MAX_RETRIES = const(b"\x32\x05\xff\x01\x3c")  # 60 looks for a card in one poll: 0.15 to 0.3 s; the default is for ever
_IN_DATA_EXCHANGE = const(b"\x40\x01")
_IN_LIST_PASSIVE_TARGET = const(b"\x4a\x02\x00")  # up to two cards of type A at 106 kbit/s

_IC = const(0x32)
_ISO_DEP = const(0x20)  # in SEL_RES

# UM0701 7.1, the status of an exchange; the rest are programming errors
_LOST = const(b"\x01\x02\x03\x04\x05\x06\x0a\x0b\x13\x2a\x2b")
_ALARMS = const(b"\x0d\x2d")  # temperature, current

_ACK_MS = const(100)  # the chip takes under 1 ms, a USB adapter up to 16
_ANSWER_MS = const(1000)  # a card has 77 ms and may ask for more
_QUIET_MS = const(50)  # a frame that stops for so long is not going on
_SWITCH_MS = const(20)  # until the ACK has left at the old rate
_RF_OFF_MS = const(10)  # a card without field forgets all after 5


class PN532:
    def __init__(self, link: "Uart", clock: "Clock"):
        self._link = link
        self._clock = clock
        self._parser = frame.FrameParser()
        self._out = bytearray(96)  # the longest command that a card takes is 60 bytes
        self._view = memoryview(self._out)
        self._is_stopped = False

    async def start(self) -> None:
        """Wake the chip at whatever rate it listens, raise the rate, configure it.

        Raises Fault: 101 silent, 102 garbled, 103 no ACK, 106 not a PN532.
        """
        self._is_stopped = False
        if await self._find() != _BAUD_FAST:
            try:
                await self._ask(_SET_SERIAL_BAUD_RATE)
            except Fault:
                pass  # it may have switched all the same: look for it again
            self._link.write(frame.ACK_FRAME)
            await self._clock.sleep_ms(_SWITCH_MS)
            await self._find()
        await self.check()
        await self._chip(_MAX_RETRIES)
        await self._chip(_RF_OFF)

    async def check(self) -> None:
        """Ask the chip who it is, at boot and when idle. Raises as `start`."""
        self._is_stopped = False
        version = await self._chip(_GET_FIRMWARE_VERSION)
        if len(version) != 4 or version[0] != _IC:
            raise Fault(_E_IDENT, version[0] if version else 0)

    async def wait_card(self, timeout_ms: int) -> bytes:
        """The UID (7 bytes) of the one card in the field, which then is ready for `exchange`.

        Raises CardLost(113) when none came within `timeout_ms` (and up to one poll, 0.3 s) or after `stop`;
        Fault: 111 two cards, 112 a card that can't be a purse, and as `check`. Without a card the field is off
        and the chip idle, also when the task is cancelled.
        """
        started = self._clock.ticks_ms()
        uid = None
        self._is_stopped = False
        try:
            while uid is None:
                await self._rest()  # also between polls: a card whose selection went wrong may be mute until then
                found = await self._chip(_IN_LIST_PASSIVE_TARGET)
                if found and found[0]:
                    uid = _uid(found)
                elif self._clock.elapsed_ms(started) >= timeout_ms:
                    raise CardLost(_E_NO_CARD)
            return uid
        finally:
            if uid is None:
                self._hush()

    async def exchange(self, command) -> memoryview:
        """Send one command to the card, once; its answer is valid until the next call.

        Raises CardLost(110, status) when the card is gone; Fault: 104 the chip refused, 105 temperature or current
        alarm, 101 to 103 trouble with the chip. After any of them the card may have run the command or not.
        """
        answer = await self._ask(_IN_DATA_EXCHANGE, command)
        if not answer:
            raise Fault(_E_FRAME)
        status = answer[0]
        if status:
            if status & 0x3F in _LOST:
                raise CardLost(_E_LOST, status)
            raise Fault(_E_ALARM if status & 0x3F in _ALARMS else _E_STATUS, status)
        return answer[1:]

    async def release(self) -> None:
        """Switch the field off for so long that a card in it starts afresh. Raises as `check`."""
        self._is_stopped = False
        await self._rest()

    def stop(self) -> None:
        """End `wait_card` from another task and leave the chip idle with the field off."""
        self._is_stopped = True
        self._hush()

    async def _rest(self):
        await self._chip(_RF_OFF)
        await self._clock.sleep_ms(_RF_OFF_MS)

    def _hush(self):
        self._link.write(frame.ACK_FRAME)
        self._write(_RF_OFF)

    async def _find(self):
        """The rate at which the chip answers; after a reset of the MCU alone it is still the fast one."""
        fault = Fault(_E_SILENT)
        for rate in (_BAUD_FAST, _BAUD_RESET):
            self._link.set_baud(rate)
            self._link.write(_WAKE_UP)
            self._link.write(frame.ACK_FRAME)
            try:
                await self._chip(_SAM_CONFIGURATION)
                return rate
            except Fault as error:
                fault = error
        raise fault

    async def _chip(self, command):
        """A command that changes nothing on a card: asked again once."""
        try:
            return await self._ask(command)
        except CardLost:
            raise
        except Fault:
            return await self._ask(command)

    async def _ask(self, command, data=b""):
        """Send a command, once; the data of its answer, behind the code. Leaves the chip idle when it raises."""
        self._link.discard()
        self._parser.clear()
        self._write(command, data)
        answer = None
        try:
            answer = await self._answer(command[0] + 1)
            return answer
        finally:
            if answer is None:
                self._link.write(frame.ACK_FRAME)

    async def _answer(self, code):
        """Wait for the ACK, then for the answer with `code`; one garbled answer is asked for again."""
        parser = self._parser
        is_acked = is_asked_again = False
        trouble = _E_SILENT  # what will have gone wrong when the time is over
        started = self._clock.ticks_ms()
        while True:
            kind = parser.next()
            if kind == frame.MORE:
                if self._is_stopped:
                    raise CardLost(_E_NO_CARD)
                left_ms = (_ANSWER_MS if is_acked else _ACK_MS) - self._clock.elapsed_ms(started)
                is_garbled = trouble == _E_FRAME or parser.is_begun()
                if is_garbled:
                    left_ms = min(left_ms, _QUIET_MS)
                count = left_ms > 0 and await self._link.readinto(parser.room(), left_ms)
                if count:
                    parser.feed(count)
                elif not is_garbled:
                    raise Fault(trouble)
                elif is_asked_again or not is_acked:
                    raise Fault(_E_FRAME)
                else:
                    parser.clear()
                    self._link.write(frame.NACK_FRAME)
                    is_asked_again = True
                    trouble = _E_SILENT
                    started = self._clock.ticks_ms()
            elif kind == frame.ANSWER:
                if not is_acked:
                    trouble = _E_NOACK  # an answer that nobody waits for any more
                elif parser.view[parser.start] == code:
                    return parser.view[parser.start + 1 : parser.end]
            elif kind == frame.ACK:
                is_acked = True
                trouble = _E_SILENT
            elif kind == frame.BAD:
                if is_acked:
                    trouble = _E_FRAME
                is_acked = True  # it was the ACK that came garbled, most likely
            else:
                raise Fault(_E_STATUS if kind == frame.ERROR else _E_NOACK, kind)

    def _write(self, command, data=b""):
        self._link.write(self._view[: frame.build(self._out, command, data)])


def _uid(found):
    """The UID in an answer of InListPassiveTarget: NbTg, Tg, SENS_RES (2), SEL_RES, length, UID, ATS."""
    if found[0] != 1:
        raise Fault(_E_TWO_CARDS)
    if len(found) < 14 or not found[4] & _ISO_DEP or found[5] != 7:
        raise Fault(_E_FOREIGN)
    return bytes(found[6:13])
