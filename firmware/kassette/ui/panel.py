"""The counter: what a person sees, hears and presses. Flows get one `Ui` and never a pixel.

Questions raise Cancelled when the person says no or nobody answers, so a flow's happy path doesn't test for it.
The D key turns the page to the customer's words and back, whatever is shown.
"""

from micropython import const

from kassette.errors import Cancelled
from kassette.ui.screen import SMALL, Screen
from kassette.ui.texts import fill

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kassette.hal import Clock, OutPin, Tone
    from kassette.ui.texts import Texts

_T_IDLE = const(1)
_T_UNSENT = const(2)  # in minutes; the next two: hours, days
_T_AMOUNT = const(10)
_E_AMOUNT_ZERO = const(304)
_E_AMOUNT_LIMIT = const(305)
_E_CANCELLED = const(802)

GOOD = 0
BAD = 1
ASK = 2
CLICK = 3
# steps of each sound: pitch in 20 Hz, length in 10 ms, LED
_SOUNDS = (
    b"\x87\x0c\x01\x00\x28\x01",
    b"\x16\x0a\x01\x00\x06\x00\x16\x0a\x01\x00\x06\x00\x16\x14\x01",
    b"\x64\x06\x01",
    b"\x96\x01\x00",
)
_ANSWER_MS = const(60000)
_READ_MS = const(4000)
_NOTE_TURNS = const(4)  # calls of `idle` for which a note stands
_UNITS = b"mhd"
_AMOUNT_END = const(1000000)  # one digit more would not fit the screen


class Ui:
    """`display`, `keypad`: a drivers.ssd1306.Display and a drivers.keypad.Keypad."""

    def __init__(self, display, keypad, tone: "Tone", led: "OutPin", texts: "Texts", clock: "Clock"):
        self._screen = Screen(display, texts)
        self._keypad = keypad
        self._tone = tone
        self._led = led
        self._texts = texts
        self._clock = clock
        self._sound = CLICK
        self._wanted = clock.signal()
        self._code = 0
        self._numbers = ()
        self._is_customer = False
        self._turn = 0
        self._idle: tuple = ()  # what the idle screen shows; empty while another one does

    def show(self, code: int, *numbers: int) -> None:
        """A text by number on the whole screen, an error with its code; `numbers` fill its places."""
        self._code = code
        self._numbers = numbers
        self._is_customer = False
        self._idle = ()
        self._draw()

    def _draw(self) -> None:
        lines = self._texts.page(self._code, self._is_customer)
        self._screen.page(lines, self._numbers, 0 if self._is_customer or self._code < 100 else self._code)

    def idle(self, clock_text: str, is_net_up: bool, unsent_age_s: int, notes: tuple = ()) -> None:
        """The screen between sales; call it once a second, it draws when something on it changed.

        `clock_text` is at most 6 characters; `unsent_age_s` 0 when nothing waits; `notes` are codes of what needs
        attention, each shown for some calls.
        """
        note = 0
        if notes:
            self._turn += 1
            note = notes[self._turn // _NOTE_TURNS % len(notes)]
        wanted = (clock_text, is_net_up, age_of(unsent_age_s), note)
        if wanted != self._idle:
            was_idle = self._idle
            self._idle = wanted
            self._code = _T_IDLE
            self._is_customer = self._is_customer and bool(was_idle)
            if not self._is_customer:
                self._draw_idle()

    def _draw_idle(self) -> None:
        clock_text, is_net_up, age, note = self._idle
        screen = self._screen
        screen.clear()
        screen.write(clock_text.encode(), 0, -2)
        screen.write(b"\x10\x11" if is_net_up else b"\x12\x13", 112, -2)
        prompt, legend, english, legend_english = self._texts.page(_T_IDLE, False)
        if age:
            unit, count = age
            text = b"\x14%d%c" % (count, _UNITS[unit])
            screen.write(text, 106 - 8 * len(text), -2)
            note_or_age = note or _T_UNSENT + unit
        else:
            note_or_age = note
        if note_or_age:
            numbers = (b"",) if note else (count,)  # a note is the code alone
            prompt, _, english, _ = self._texts.page(note_or_age, False)
            prompt = fill(prompt, numbers)
            english = fill(english, numbers)
        if note:
            prompt = b"%d " % note + prompt
        screen.centre(prompt, 14)
        screen.centre(english, 31, SMALL)
        screen.centre(legend, 40)
        screen.centre(legend_english, 56, SMALL)
        screen.show()

    def beep(self, kind: int) -> None:
        """A sound with its light, 0 good, 1 bad, 2 ask, 3 click; returns at once, `beep_forever` plays it."""
        self._sound = kind
        self._wanted.set()

    async def beep_forever(self) -> None:
        """The task that plays the sounds."""
        while True:
            await self._wanted.wait()
            steps = _SOUNDS[self._sound]
            for i in range(0, len(steps), 3):
                self._tone.play(steps[i] * 20)
                self._led.value(steps[i + 2])
                await self._clock.sleep_ms(steps[i + 1] * 10)
            self._tone.play(0)
            self._led.value(0)

    async def key(self, timeout_ms: int) -> str:
        """The next key but D, one of `123A456B789C*0#`. Raises Cancelled(802) when none came in `timeout_ms`."""
        while True:
            key = await self._keypad.key(timeout_ms)
            self.beep(CLICK)
            if key != "D":
                return key
            self._is_customer = not self._is_customer
            if self._idle and not self._is_customer:
                self._draw_idle()
            else:
                self._draw()

    async def pause(self, ms: int) -> None:
        """Leave the screen as it is until a key or the time; a key that begins something else is kept for it."""
        try:
            key = await self.key(ms)
        except Cancelled:
            return
        if key not in "*#":
            self._keypad.unread(key)

    async def ask_amount(self, max_minor: int) -> int:
        """The amount keyed in, 1..max_minor minor units.

        `#` takes it, `*` clears it and cancels when it is clear. Raises Cancelled(802).
        """
        amount = 0
        while True:
            self.show(_T_AMOUNT, amount)
            key = await self.key(_ANSWER_MS)
            if key == "#" and 0 < amount <= max_minor:
                return amount
            if key == "#":
                self.beep(BAD)
                self.show(_E_AMOUNT_LIMIT if amount else _E_AMOUNT_ZERO, max_minor)
                await self.pause(_READ_MS)
            elif key == "*":
                if not amount:
                    raise Cancelled(_E_CANCELLED)
                amount = 0
            elif key.isdigit() and amount < _AMOUNT_END:
                amount = 10 * amount + int(key)
            else:
                self.beep(BAD)

    async def ask_ok(self, code: int, *numbers: int) -> None:
        """Show text `code` with its numbers and wait for `#`. Raises Cancelled(802) at `*` and after a minute."""
        await self.ask(code, "#", *numbers)

    async def choose(self, code: int) -> int:
        """Show text `code`, whose lines name what 1 and 2 mean: 1 or 2. Raises Cancelled(802) as `ask_ok` does."""
        return int(await self.ask(code, "12"))

    async def ask(self, code: int, wanted: str, *numbers: int) -> str:
        """Show text `code` with its numbers and return the first of the keys `wanted`. Raises as `ask_ok` does."""
        self._keypad.forget()
        self.show(code, *numbers)
        self.beep(ASK)
        while True:
            key = await self.key(_ANSWER_MS)
            if key in wanted:
                return key
            if key == "*":
                raise Cancelled(_E_CANCELLED)
            self.beep(BAD)


def age_of(seconds: int):
    """(unit, how many) of a time: minutes below 2 hours, hours below 2 days, then days up to 999; None below a minute."""
    if seconds < 60:
        return None
    if seconds < 7200:
        return 0, seconds // 60
    if seconds < 172800:
        return 1, seconds // 3600
    return 2, min(seconds // 86400, 999)
