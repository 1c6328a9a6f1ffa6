"""A card at the reader: wait for exactly one, open it, and settle older sales that only it can prove."""

from micropython import const

from kassette.codec import records
from kassette.errors import Cancelled, CardLost, Fault
from kassette.flows import book
from kassette.flows.paper import TRUTH

_E_LOST = const(110)
_E_TWO_CARDS = const(111)
_E_NO_CARD = const(113)
_E_CANCELLED = const(802)
_SERIAL = const(0)  # places in an attempt of the till
_SLIP = const(1)
_UID = const(5)
_SLICE_MS = const(300)  # the cancel key is looked at so often
_CARD_MS = const(60000)


async def present(t, prompt, *numbers, timeout_ms=_CARD_MS):
    """Show `prompt` until one card is open; return what became of its older open sales: [(serial of the intent, outcome)].

    A card that is taken away while it is being read is asked for again. Raises Cancelled (802 the cancel key,
    113 no card within `timeout_ms`; 0 waits for ever); FlowEnd or Fault for a card that is not ours.
    """
    settled = []
    while True:
        t.ui.show(prompt, *numbers)
        try:
            await t.purse.open(await wait_card(t, timeout_ms))
            await _settle(t, settled)
            return settled
        except CardLost:
            prompt = _E_LOST


def print_settled(t, settled):
    """A slip for each older sale that this tap has settled: the customer has it in hand, and nobody is surprised."""
    for _, outcome, _ in settled:
        t.paper.put(TRUTH, outcome)


async def wait_card(t, timeout_ms):
    """The UID of the one card in the field. Raises Cancelled as `present`; two cards are said and waited out."""
    started = t.clock.ticks_ms()
    is_two = False
    while True:
        if await is_cancel_pressed(t):
            raise Cancelled(_E_CANCELLED)
        if timeout_ms and t.clock.elapsed_ms(started) >= timeout_ms:
            raise Cancelled(_E_NO_CARD)
        try:
            return await t.reader.wait_card(_SLICE_MS)
        except Fault as fault:
            if fault.code == _E_TWO_CARDS:
                if not is_two:
                    is_two = True
                    t.ui.show(_E_TWO_CARDS)
                await t.clock.sleep_ms(_SLICE_MS)
            elif fault.code != _E_NO_CARD:
                raise


async def is_cancel_pressed(t, timeout_ms=0):
    """Whether the next key is the cancel key; any other one is passed over, and ends the waiting too."""
    try:
        return await t.ui.key(timeout_ms) == "*"
    except Cancelled:
        return False


async def _settle(t, settled):
    """Resolve every unresolved sale of the card that is open, as far as its own records prove anything.

    Adds (serial of the intent, serial of its outcome's record, records.COMMITTED or records.NOT_DEBITED) to `settled`,
    which outlives a card that leaves in the middle; what they can't prove stays unresolved. Raises CardLost, Fault.
    """
    card = t.purse
    for attempt in [attempt for attempt in t.till.unresolved if attempt[_UID] == card.uid]:
        serial = attempt[_SERIAL]
        verdict = await card.find(t.settings.terminal, t.settings.journal_id, attempt)
        if verdict == records.COMMITTED:
            settled.append((serial, book.commit_late(t, serial, attempt[_SLIP], card.evidence), verdict))
        elif verdict == records.NOT_DEBITED:
            settled.append((serial, book.reject(t, serial, attempt[_SLIP], 0, 1), verdict))
        else:
            await card.open(card.uid)  # a refusal of the card ended its session
