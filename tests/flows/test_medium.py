"""What pays, whichever comes first, when the stripe's heads die: a coded fault at once, and chip and number are left."""

from account_counter import AccountCounter
from counter import Card
from stripe_cards import own

from kassette import parts
from kassette.errors import Fault
from kassette.flows import account_sale, medium, stripe

_TAP = 12
_TAP_OR_SWIPE = 35
_DEAD = 127
_BROKEN = OSError(5)


class Heads:
    """A driver whose heads live for so many ms; -1 for ever."""

    def __init__(self, clock, lives_ms, error=_BROKEN):
        self._clock = clock
        self._lives_ms = lives_ms
        self._error = error
        self.stopped = 0
        self.forgotten = 0

    async def capture_forever(self):
        while self._lives_ms < 0:
            await self._clock.sleep_ms(64)
        await self._clock.sleep_ms(self._lives_ms)
        raise self._error

    async def wait(self, timeout_ms):
        if timeout_ms:
            await self._clock.sleep_ms(timeout_ms)
        return False

    def stop(self):
        self.stopped += 1

    def forget(self):
        self.forgotten += 1


def counter(*lives_ms, error=_BROKEN):
    """Each waiting has heads that live so long; None: they can't be had at all."""
    t = AccountCounter()
    t.heads = [None if ms is None else Heads(t.clock, ms, error) for ms in lives_ms]
    waiting = list(t.heads)

    def open_stripe(t):
        heads = waiting.pop(0)
        if heads is None:
            raise Fault(_DEAD)
        return heads

    t.kept.parts.open_stripe = open_stripe
    return t


def sell(t, amount=850):
    """(how it ended, ms)"""
    started = t.clock.now
    return t.run(medium.take(t, amount)), t.clock.now - started


def test_heads_that_die_are_seen_at_once_and_a_chip_card_pays():
    for error in (OSError(5), Fault(_DEAD), MemoryError(), IndexError()):
        t = counter(700, error=error)
        t.arrivals = [None, None, None, None, None, Card()]
        t.card = None
        ended, waited = sell(t)
        assert ended is None and waited < 2_500, (ended, waited)
        assert t.effects[:3] == [_TAP_OR_SWIPE, _DEAD, "beep 1"]
        assert "debit" in t.effects and t.till.day_sum == 850
        assert t.heads[0].stopped == 1


def test_the_fault_is_said_within_a_look():
    t = counter(700)
    t.card = None
    t.keys = ["", "", "", "", "*"]  # a look each 300 ms
    ended, waited = sell(t)
    assert ended == 802 and _DEAD in t.effects and waited <= 1_500


def test_a_number_can_be_keyed_in_without_heads():
    t = counter(None)
    t.card = None
    t.keys = ["#"] + list(own()[:17]) + ["#", "#"]
    ended, _ = sell(t)
    assert ended is None and t.till.day_sum == 850
    assert t.effects[:2] == [_DEAD, "beep 1"] and len(t.asked) == 1


def test_without_heads_nobody_is_asked_to_swipe_and_the_minute_is_a_minute():
    t = counter(200)
    t.card = None
    ended, waited = sell(t)
    assert ended == 113 and 60_000 <= waited <= 61_500
    assert [effect for effect in t.effects if effect in (_TAP, _TAP_OR_SWIPE, _DEAD)] == [_TAP_OR_SWIPE, _DEAD, _TAP]


def test_heads_that_live_are_stopped_and_nothing_is_said_of_them():
    t = counter(-1)
    t.card = None
    assert sell(t)[0] == 113 and _DEAD not in t.effects and t.heads[0].stopped == 1


def test_what_the_heads_saw_is_forgotten_when_something_else_pays_or_nothing():
    for keys, arrivals in (([], [Card()]), (["*"], []), (["#", "*", "*"], [])):
        t = counter(-1, -1)
        t.card = None
        t.keys, t.arrivals = keys, arrivals
        sell(t)
        heads = [one for one in t.heads if one.stopped]
        assert heads and all(one.forgotten == 1 for one in heads), keys
    t = counter()
    t.keys = ["*"]
    heads = Heads(t.clock, -1)
    assert t.run(stripe.check(t, heads)) == 802 and heads.forgotten


def test_asked_for_a_swipe_alone_it_is_the_answer():
    t = counter()
    started = t.clock.now
    heads = Heads(t.clock, 700)
    assert t.run(stripe.check(t, heads)) == _DEAD
    assert t.clock.now - started <= 1_000 and heads.stopped == 1


def test_ports_that_can_not_be_had_are_the_same_fault():
    def broken():
        raise OSError(0x101)  # ESP_ERR_NO_MEM

    t = AccountCounter()
    for ports in (broken, lambda: ()):
        t.board.stripe_ports = ports
        try:
            parts.open_stripe(t)
            raise AssertionError("opened")
        except Fault as fault:
            assert fault.code == _DEAD


def test_the_digits_are_wiped_when_the_sale_is_over_however_it_ends():
    charge = account_sale.charge
    for ended in (None, 314):
        t = counter(None)
        t.card = None
        t.keys = ["#"] + list(own()[:17]) + ["#", "#"]
        seen = []

        async def noted(t, amount, digits, entry, link, seen=seen, ended=ended):
            assert bytes(digits[:17]).decode() == own()[:17]
            seen.append(digits)
            if ended:
                raise Fault(ended)

        account_sale.charge = noted
        try:
            assert sell(t)[0] == ended
        finally:
            account_sale.charge = charge
        assert len(seen) == 1 and not any(seen[0])
