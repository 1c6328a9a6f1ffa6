"""The counter's panel: pages, questions, the customer's page, the idle screen, sounds."""

import asyncio

from fake_panel import FakeKeypad, FakePanel
from vclock import VirtualClock

from kassette.errors import Cancelled
from kassette.ui.panel import ASK, BAD, CLICK, GOOD, Ui, age_of
from kassette.ui.texts import Texts


def page(name, *lines):
    """The record of a text: cashier's page, then the customer's."""
    lines = [line.encode() for line in (lines + ("", "", ""))[:4]]
    return lines + [b"for " + name.encode(), b"", b"", b""]


RECORDS = {
    1: page("idle", "prompt", "legend", "english", "keys"),
    2: page("min", "min \x02", "", "Min \x02"),
    3: page("h", "hours \x02", "", "Hours \x02"),
    4: page("d", "days \x02", "", "Days \x02"),
    10: page("amount", "amount", "\x1b\x01"),
    11: page("ok", "ok?", "\x1b\x01", "a", "b"),
    18: page("choose", "1 or 2"),
    20: [b"\x80\x81\x01\x80\x83", b"\x1b\x80\x82\x01", b"", b"", b"", b"", b"", b""],
    303: page("short", "lacking", "by \x01"),
    304: page("zero", "zero"),
    305: page("limit", "up to", "\x01"),
    601: page("paper", "paper", "", "PAPER"),
    602: page("cover", "cover", "", "COVER"),
    507: page("refused", "refused \x02", "", "REFUSED \x02"),
    999: page("bug", "bug"),
}


class Tone:
    def __init__(self, clock):
        self._clock = clock
        self.steps = []

    def play(self, hz):
        self.steps.append((self._clock.now, hz))


class Led:
    def __init__(self):
        self.levels = []

    def value(self, level):
        self.levels.append(level)


class Counter:
    def __init__(self, *keys):
        self.clock = VirtualClock()
        self.panel = FakePanel(RECORDS)
        self.keypad = FakeKeypad(*keys)
        self.tone = Tone(self.clock)
        self.led = Led()
        self.texts = Texts(self.panel.open_data)
        self.ui = Ui(self.panel, self.keypad, self.tone, self.led, self.texts, self.clock)

    def press(self, *keys):
        self.keypad.script += keys

    def sees(self, text):
        """A step of a key script: the screen at that moment."""

        def look():
            assert text in self.panel.text, (text, self.panel.text)

        return look

    def run(self, awaitable):
        out = []

        async def main():
            out.append(await awaitable)

        asyncio.run(self.clock.run(main()))
        return out[0]

    def cancels(self, awaitable):
        try:
            self.run(awaitable)
        except Cancelled as end:
            return end.code
        return 0


def test_an_error_shows_its_code_in_a_box():
    c = Counter()
    c.ui.show(303, 350)
    assert c.panel.text == "303lacking\nby 3.50"
    assert c.panel.boxes == [(0, 0, 28, 16)]


def test_a_prompt_shows_no_code():
    c = Counter()
    c.ui.show(11, 1250)
    assert c.panel.text == "ok?\n12.50\na\nb"
    assert c.panel.boxes == []


def test_lines_are_centred():
    c = Counter()
    c.ui.show(11, 1250)
    rows = {}
    for y, x, _ in c.panel.cells:
        rows.setdefault(y, []).append(x)
    assert min(rows[0]) == 64 - 3 * 8 // 2
    assert min(rows[17]) == 64 - 5 * 12 // 2
    assert min(rows[44]) == 64 - 6 // 2


def test_the_d_key_turns_to_the_customers_page_and_back():
    c = Counter()
    c.ui.show(303, 350)
    c.press("D", c.sees("for short"), "D", c.sees("303lacking"), "D", "7")
    assert c.run(c.ui.key(1000)) == "7"
    assert "for short" in c.panel.text
    c.ui.show(305, 100)
    assert "305up to" in c.panel.text


def test_an_amount_is_keyed_in_and_shown_as_it_grows():
    c = Counter()
    c.press(c.sees("0.00"), "1", c.sees("0.01"), "2", "5", "0", c.sees("12.50"), "#")
    assert c.run(c.ui.ask_amount(5000)) == 1250


def test_the_star_clears_first_and_cancels_then():
    c = Counter()
    c.press("9", "*", c.sees("0.00"), "3", "#")
    assert c.run(c.ui.ask_amount(5000)) == 3
    c.press("9", "*", "*", "8")
    assert c.cancels(c.ui.ask_amount(5000)) == 802
    assert c.keypad.script == ["8"]


def test_an_amount_of_zero_is_refused():
    c = Counter()
    c.press("#", c.sees("304zero"), "#", "8", "#")
    assert c.run(c.ui.ask_amount(5000)) == 8


def test_an_amount_beyond_the_limit_is_refused_and_can_be_mended():
    c = Counter()
    c.press("5", "0", "0", "1", "#", c.sees("305up to\n50.00"), "#", c.sees("50.01"), "*", "5", "0", "0", "0", "#")
    assert c.run(c.ui.ask_amount(5000)) == 5000


def test_a_key_that_dismisses_the_refusal_counts_when_it_is_a_digit():
    c = Counter()
    c.press("#", "7", "#")
    assert c.run(c.ui.ask_amount(5000)) == 7


def test_more_digits_than_fit_are_refused():
    c = Counter()
    c.press(*"99999999", c.sees("99999.99"), "#")
    assert c.run(c.ui.ask_amount(9999999)) == 9999999
    c.press(*"10000000", c.sees("10000.00"), "#")
    assert c.run(c.ui.ask_amount(9999999)) == 1000000


def test_letters_are_no_digits():
    c = Counter()
    c.press("A", "1", "B", "C", "#")
    assert c.run(c.ui.ask_amount(5000)) == 1


def test_nobody_answers():
    for ask in (lambda c: c.ui.ask_amount(5000), lambda c: c.ui.ask_ok(11, 5), lambda c: c.ui.choose(18)):
        c = Counter()
        assert c.cancels(ask(c)) == 802
        assert c.keypad.timeouts == [60000]


def test_ok_is_the_hash_key_and_nothing_else():
    c = Counter()
    c.press(c.sees("ok?\n12.50"), "1", "A", "#", "5")
    c.run(c.ui.ask_ok(11, 1250))
    assert c.keypad.script == ["5"]
    c.keypad.script.pop(0)
    c.press("*", "#")
    assert c.cancels(c.ui.ask_ok(11, 1250)) == 802
    assert c.keypad.script == ["#"]


def test_keys_pressed_ahead_answer_no_question_about_money():
    c = Counter("#")
    c.run(c.ui.ask_ok(11, 1))
    assert c.keypad.forgotten == 1
    c.press("1")
    c.run(c.ui.choose(18))
    assert c.keypad.forgotten == 2
    c.press("1", "#")
    c.run(c.ui.ask_amount(100))
    assert c.keypad.forgotten == 2


def test_choose_takes_one_or_two():
    c = Counter("3", "#", "2")
    assert c.run(c.ui.choose(18)) == 2
    c.press("1")
    assert c.run(c.ui.choose(18)) == 1
    c.press("*", "1")
    assert c.cancels(c.ui.choose(18)) == 802
    assert c.keypad.script == ["1"]


def test_a_pause_ends_with_the_time_or_a_key_and_keeps_what_begins_something_else():
    c = Counter()
    c.run(c.ui.pause(3000))
    assert c.keypad.timeouts == [3000]
    for key in "0A":
        c.press(key)
        c.run(c.ui.pause(3000))
        assert c.keypad.script.pop(0) == key
    for key in "*#":
        c.press(key)
        c.run(c.ui.pause(3000))
        assert c.keypad.script == []


def test_the_idle_screen_shows_clock_and_network():
    c = Counter()
    c.ui.idle("14:05", True, 0)
    assert c.panel.text == "14:05\x10\x11\nprompt\nenglish\nlegend\nkeys"
    c.ui.idle("14:06?", False, 59)
    assert c.panel.text == "14:06?\x12\x13\nprompt\nenglish\nlegend\nkeys"


def test_the_idle_screen_shows_the_age_of_the_oldest_unsent_record():
    c = Counter()
    for seconds, icon, text in (
        (60, "\x141m", "min 1\nMin 1"),
        (7199, "\x14119m", "min 119\nMin 119"),
        (7200, "\x142h", "hours 2\nHours 2"),
        (172799, "\x1447h", "hours 47\nHours 47"),
        (172800, "\x142d", "days 2\nDays 2"),
        (999999999, "\x14999d", "days 999\nDays 999"),
    ):
        c.ui.idle("14:05", True, seconds)
        assert c.panel.text == "14:05%s\x10\x11\n%s\nlegend\nkeys" % (icon, text), c.panel.text


def test_notes_take_turns_on_the_idle_screen():
    c = Counter()
    seen = []
    for _ in range(12):
        c.ui.idle("14:05", True, 0, (601, 602))
        seen.append(c.panel.text.split("\n")[1])
    assert set(seen) == {"601 paper", "602 cover"}
    assert sum([seen[i] != seen[i + 1] for i in range(len(seen) - 1)]) <= 3  # each stands for some calls
    c.ui.idle("14:05", True, 0)
    assert "prompt" in c.panel.text


def test_a_note_with_a_number_of_its_own_stands_without_it_on_the_idle_screen():
    c = Counter()
    c.ui.idle("14:05", True, 0, (507,))
    assert c.panel.text.split("\n")[1:3] == ["507 refused ", "REFUSED "]


def test_the_idle_screen_is_drawn_when_something_changed():
    c = Counter()
    c.ui.idle("14:05", True, 61)
    before = c.panel.shows
    for seconds in range(61, 120):
        c.ui.idle("14:05", True, seconds)
    assert c.panel.shows == before
    c.ui.idle("14:05", True, 120)
    assert c.panel.shows == before + 1
    c.ui.show(304)
    c.ui.idle("14:05", True, 120)
    assert "min 2" in c.panel.text


def test_the_customers_page_of_the_idle_screen_stays_until_d_or_another_screen():
    c = Counter()
    c.ui.idle("14:05", True, 0)
    c.press("D")
    assert c.cancels(c.ui.key(1000)) == 802
    c.ui.idle("14:06", True, 0)
    assert "for idle" in c.panel.text
    c.press("D")
    assert c.cancels(c.ui.key(1000)) == 802
    assert c.panel.text.startswith("14:06")
    c.press("D")
    c.cancels(c.ui.key(1000))
    c.ui.show(304)
    c.ui.idle("14:06", True, 0)
    assert c.panel.text.startswith("14:06")


def _sounds(kind):
    c = Counter()

    async def main():
        task = asyncio.create_task(c.ui.beep_forever())
        await asyncio.sleep(0)
        c.ui.beep(kind)
        assert c.tone.steps == []  # returns at once
        await c.clock.sleep_ms(2000)
        task.cancel()

    asyncio.run(c.clock.run(main()))
    return c


def test_a_good_end_is_one_high_tone_with_light():
    c = _sounds(GOOD)
    assert [hz > 2000 for _, hz in c.tone.steps] == [True, False, False]
    assert c.led.levels == [1, 1, 0]


def test_a_bad_end_is_three_low_tones():
    c = _sounds(BAD)
    assert [0 < hz < 1000 for _, hz in c.tone.steps] == [True, False, True, False, True, False]
    assert c.tone.steps[-1][1] == 0 and c.led.levels[-1] == 0


def test_questions_and_refusals_are_heard():
    def heard(ask, *keys):
        c = Counter(*keys)
        kinds = []
        c.ui.beep = kinds.append
        c.run(ask(c.ui))
        return [kind for kind in kinds if kind != CLICK]

    assert heard(lambda ui: ui.ask_ok(11, 5), "1", "#") == [ASK, BAD]
    assert heard(lambda ui: ui.choose(18), "2") == [ASK]
    assert heard(lambda ui: ui.ask_amount(100), "A", "1", "#") == [BAD]
    assert heard(lambda ui: ui.ask_amount(100), "#", "1", "#") == [BAD]


def test_hanzi_and_digits_share_a_line():
    c = Counter()
    c.ui.show(20, 1250)
    assert c.panel.text == "一12.50三\n12.50\n二"
    rows = {}
    for y, x, character in c.panel.cells:
        rows.setdefault(y, []).append((x, character))
    assert rows[0] == [(28, "一"), (44, "1"), (52, "2"), (60, "."), (68, "5"), (76, "0"), (84, "三")]
    assert rows[23] == [(26, "二")]  # beside large digits, in their middle
    assert [x for x, _ in rows[17]] == [42, 54, 66, 78, 90]


def test_an_amount_too_wide_for_large_digits_is_drawn_small_and_whole():
    c = Counter()
    c.ui.show(11, 123456789)
    assert c.panel.text == "ok?\n1234567.89\na\nb"
    c.ui.show(11, 12345678901)
    rows = sorted(x for y, x, _ in c.panel.cells if y == 21)
    assert len(rows) == 12 and rows[0] == 16 and rows[1] - rows[0] == 8


def test_every_key_clicks():
    c = Counter("5")

    async def main():
        task = asyncio.create_task(c.ui.beep_forever())
        assert await c.ui.key(1000) == "5"
        await c.clock.sleep_ms(100)
        task.cancel()

    asyncio.run(c.clock.run(main()))
    assert len(c.tone.steps) == 2 and c.tone.steps[1][0] - c.tone.steps[0][0] <= 20


def test_ages():
    assert age_of(0) is None and age_of(59) is None
    assert age_of(60) == (0, 1)
    assert age_of(7200) == (1, 2)
    assert age_of(10**9) == (2, 999)
