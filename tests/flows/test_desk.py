import asyncio

from counter import LOST_BEFORE, UNKNOWN_DONE, Card, Counter

from kassette.errors import CardLost, Fault
from kassette.flows import desk, truth
from kassette.flows.paper import COPY, SALE, Paper
from kassette.flows.sale import sale


def test_balance():
    t = Counter()
    t.arrivals = [Card()]
    assert t.run(desk.balance(t)) is None
    assert t.effects == [15, 16, "beep 0"]


def test_reprint_of_nothing_and_of_a_sale():
    t = Counter()
    assert t.run(desk.reprint(t)) == 803
    t.arrivals = [Card()]
    t.run(sale(t))
    t.effects.clear()
    assert t.run(desk.reprint(t)) is None
    assert t.effects == ["slip 1", 25]


def test_total_is_for_today():
    t = Counter()
    t.arrivals = [Card()]
    t.run(sale(t))
    t.effects.clear()
    t.keys = ["#"]
    assert t.run(desk.total(t)) is None
    assert t.effects == [24, "slip 16", 25]
    t.till.day -= 1
    t.keys = ["#"]
    assert t.run(desk.total(t)) == 803
    t.till.batch_count = 0
    assert t.run(desk.total(t)) == 803
    assert t.effects == [24, "slip 16", 25, 24]  # the second time there was nothing to close either


def test_a_boot_after_a_good_sale_says_that_it_stands():
    t = Counter()
    t.arrivals = [Card()]
    t.run(sale(t))
    after = Counter(t.flash)
    assert after.run(truth.report(after)) is None
    assert after.effects == [28]


def test_a_boot_of_a_new_terminal_says_nothing():
    t = Counter()
    assert t.run(truth.report(t)) is None
    assert t.effects == []


def test_what_was_decided_before_a_cut_is_not_asked_again():
    t = Counter()
    card = Card()
    t.arrivals = [card] + [CardLost(113)] * 60
    t.debits = [UNKNOWN_DONE]
    t.keys = [None] * 3 + ["*"]
    t.choices = [1]
    t.run(sale(t))
    after = Counter(t.flash)
    assert after.run(truth.report(after)) is None
    assert 17 not in after.effects  # decided before the cut: nothing to ask


def test_a_boot_tells_of_the_newest_slip_whatever_it_came_to():
    cases = (
        (["ok"], [], 28),
        ([LOST_BEFORE] * 5, [], 22),
        ([UNKNOWN_DONE], [1], 19),
        ([UNKNOWN_DONE], [2], 20),
    )
    for debits, choices, screen in cases:
        t = Counter()
        t.arrivals = [Card()]
        t.run(sale(t))
        t.arrivals = [Card()] + [CardLost(113)] * (60 if choices else 0)
        t.debits = list(debits)
        t.keys = [None] * 3 + ["*"] if choices else []
        t.choices = list(choices)
        t.run(sale(t))
        after = Counter(t.flash)
        assert after.run(truth.report(after)) is None
        assert after.effects == [screen]


def test_a_boot_after_an_abandoned_sale_was_found_charged_says_charged():
    t = Counter()
    card = Card()
    t.arrivals = [card] + [CardLost(113)] * 60
    t.debits = [UNKNOWN_DONE]
    t.keys = [None] * 3 + ["*"]
    t.choices = [2]
    t.run(sale(t))
    t.arrivals = [card]
    t.run(desk.balance(t))
    after = Counter(t.flash)
    assert after.run(truth.report(after)) is None
    assert after.effects == [28]


def spoil(t, serial):
    """Turn two bits of a record in the first sector, whose first slot was left out at the start."""
    t.flash.memory[t.journal.at(1, 1 + serial) + 40] ^= 3


def test_a_boot_whose_last_sale_can_not_be_read_goes_on():
    t = Counter()
    t.arrivals = [Card()]
    t.run(sale(t))
    after = Counter(t.flash)
    spoil(after, 1)
    assert after.run(truth.report(after)) is None
    assert after.effects == []


class FakePrinter:
    """Prints into a list, ready or not as `states` say one after the other."""

    def __init__(self, printed, states=()):
        self.printed = printed
        self.states = states

    async def status(self):
        return self.states.pop(0) if self.states else 0

    async def print(self, slip):
        if self.states:
            raise Fault(601)
        self.printed.append(slip)


def test_a_slip_whose_record_can_not_be_read_does_not_hold_up_the_next():
    t = Counter()
    t.arrivals = [Card()]
    t.run(sale(t))
    printed = []

    def slip(marks, serial):
        t.journal.read(serial, t.payload)
        return serial

    t.slip = slip

    t.printer = FakePrinter(printed)
    paper = Paper(t.clock)
    paper.put(COPY, 99)
    paper.put(COPY, t.till.last_sale)

    async def until_printed():
        task = asyncio.create_task(paper.print_forever(t))
        for _ in range(5):
            await asyncio.sleep(0)
        assert paper.waiting == 0 and len(printed) == 1
        task.cancel()

    t.run(until_printed())


async def until_printed(t, paper):
    """Let the task print until no slip waits."""
    task = asyncio.create_task(paper.print_forever(t))
    while paper.waiting:
        await t.clock.sleep_ms(500)
    task.cancel()


def test_a_slip_for_which_no_memory_is_free_is_made_later_and_says_so():
    t = Counter()
    asked = []
    printed = []

    def slip(marks, serial):
        asked.append((marks, serial, t.paper_under_test.trouble))
        if len(asked) < 3:
            raise MemoryError
        return marks

    t.slip = slip
    t.printer = FakePrinter(printed)
    paper = t.paper_under_test = Paper(t.clock)
    paper.put(SALE, 7)

    t.run(until_printed(t, paper))
    assert asked == [(SALE, 7, 0), (SALE | 2, 7, 606), (SALE | 2, 7, 606)]
    assert printed == [SALE | 2]  # late
    assert paper.trouble == 0


def test_no_slip_is_made_for_a_printer_that_still_has_no_paper():
    t = Counter()
    made = []
    states = [601, 601, 1]  # out, out, near its end: that prints

    t.slip = lambda marks, serial: made.append(marks)
    t.printer = FakePrinter([], states)
    paper = Paper(t.clock)
    paper.put(SALE, 7)

    t.run(until_printed(t, paper))
    assert made == [SALE, SALE | 2] and not states
