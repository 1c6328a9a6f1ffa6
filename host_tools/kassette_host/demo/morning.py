"""A cashier's morning: serves the planned customers and deals with whatever happens to the terminal."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from kassette_host.cards import stripe
from kassette_host.demo import plan
from kassette_host.demo.plan import Customer
from kassette_host.sim.cashier import (
    CHARGED,
    DECIDE,
    IDLE,
    LOST,
    NOT_CHARGED,
    OFFER,
    PAID,
    PART_TAKEN,
    TAP_OR_SWIPE,
    TAP_SAME,
    Cashier,
)
from kassette_host.sim.machine import VirtualTerminal
from kassette_host.sim.power import PowerCut
from kassette_host.virtual import stripe_head
from kassette_host.virtual.stripe_head import Hand, Wear

_DARK_MS = (400, 9_000)
_LAST_SALE = "Last sale"
_POWER_CUT = "Power cut in slip"
_SETTLE_MS = 25_000  # slip printed and uploaded
_PAID_OFFLINE = "Paid, offline rule"
_FORBIDDEN = ("ABOVE OFFLINE LIMIT", "TOO OFTEN OFFLINE", "OFFICE MUST BE ASKED")
_REACH_MS = 400
_WEAR = Wear(jitter=0.03)


@dataclass
class Row:
    """One line of the table; `amount` in minor units."""

    at_ms: int
    card: int
    amount: int
    happened: list[str]
    is_stripe: bool = False
    is_paid: bool = False


class Morning:
    """`cards` are the virtual cards, `stripes` the digits of the others; `told(row)` is called after each customer."""

    def __init__(
        self, terminal: VirtualTerminal, cards: list, stripes: list[str], seed: int, told: Callable[[Row], None]
    ):
        self.terminal = terminal
        self.cashier = Cashier(terminal)
        self.cards = cards
        self.stripes = stripes
        self._hands = random.Random(seed)
        self.customers = plan.morning(seed)
        self.rows: list[Row] = []
        self.cuts: list[PowerCut] = []
        self._told = told
        self._row = Row(0, 0, 0, [])
        self._to_be_found = 0
        self._cuts_due = 0

    @property
    def paid(self) -> int:
        """Sales that are paid, or will turn out to be when their card is seen again."""
        return sum(row.is_paid for row in self.rows) + self._to_be_found

    def run(self) -> None:
        """The whole morning, until everything is printed and the terminal is idle. Raises TimeoutError."""
        self.terminal.power_on()
        self.cashier.wait_idle()
        for customer in self.customers:
            self._serve(customer)
        self._network("up")
        self._paper("in")
        extra = 0
        while self.paid < plan.SALES or self._cuts_due:
            extra += 1
            self._serve(Customer(extra % plan.CARDS, 3000 + extra, pause_ms=5000))
        self._for_later()

    def _for_later(self) -> None:
        """Every card once more, for its balance: what was left open is settled by its next tap."""
        for card in self.cards:
            self.cashier.wait_idle()
            self.terminal.press("A")
            self.cashier.wait("Balance: hold")
            self.cashier.hold(card)
            self.cashier.wait("Card *")
            self.terminal.take(card)
            self.cashier.wait_idle()

    # --- one customer

    def _serve(self, customer: Customer) -> None:
        self._network(customer.network)
        self._paper(customer.paper)
        self._row = Row(self.terminal.now_ms, customer.card, customer.amount, [], customer.is_stripe)
        if customer.network:
            self._row.happened.append("network " + customer.network)
        if customer.paper:
            self._row.happened.append("paper " + customer.paper)
        self.terminal.run_ms(customer.pause_ms)
        if customer.is_stripe and self._sell_on_account(customer):
            self._row.is_paid = True
        else:
            self._sell_on_card(customer)
        self.rows.append(self._row)
        self._told(self._row)

    def _sell_on_account(self, customer: Customer) -> bool:
        """One swipe, as steady as a hand is. False: nobody could be asked and the rule forbids it, a chip card has to do."""
        self._to_the_prompt(customer)
        self.terminal.run_ms(_REACH_MS)
        speed, end = self._hands.uniform(20, 90), self._hands.uniform(20, 90)
        hand = Hand(speed, end, 0.05, is_backward=self._hands.random() < 0.5)
        texts = stripe.tracks(self.stripes[customer.card])
        assert self.terminal.swipe(stripe_head.swipe(stripe_head.stripe(texts), hand, _WEAR, self._hands))
        seen = self.cashier.wait(PAID, *_FORBIDDEN)
        if seen == PAID:
            seen = "offline rule" if self.cashier.sees(_PAID_OFFLINE) else "approved"
        self._row.happened.append(seen.lower())
        if seen in _FORBIDDEN and customer.short_card is not None:  # the terminal asks for the rest once more
            self._pay_rest(self.cards[customer.card])
            return True
        return seen not in _FORBIDDEN

    def _to_the_prompt(self, customer: Customer) -> None:
        """The amount is agreed to; of a split sale the first part is paid, and the prompt asks for the rest."""
        self.cashier.key_in(customer.amount)
        if customer.fault == plan.CUT:
            self.terminal.plug.cut_after(customer.event)
        self.cashier.wait(TAP_OR_SWIPE)
        if customer.short_card is not None:
            card = self.cards[customer.short_card]
            self.cashier.hold(card)
            self.cashier.wait(OFFER)
            self.terminal.press("#")
            self.cashier.wait(PART_TAKEN)
            self.terminal.take(card)
            self._row.happened.append("split")
            self.cashier.wait(TAP_OR_SWIPE)

    def _pay_rest(self, card) -> None:
        self.cashier.wait(TAP_OR_SWIPE)
        self.cashier.hold(card)
        self.cashier.wait(PAID)
        self.terminal.take(card)

    def _sell_on_card(self, customer: Customer) -> None:
        card = self.cards[customer.card]
        if (
            self._cuts_due and not customer.fault and customer.short_card is None
        ):  # one that was to hit an earlier sale and came too late for it
            self._cuts_due -= 1
            customer.fault, customer.event = plan.CUT, customer.event % plan.EVENTS_BEFORE_PAID + 1
        is_paid = False
        while is_paid is False:
            self._cuts_due += customer.fault == plan.CUT
            try:
                is_paid = self._sell(card, customer)
            except PowerCut as cut:
                self._cuts_due -= 1
                is_paid = self._after_cut(card, customer.amount, cut)
            self.terminal.take(card)
            self.terminal.plug.keep()
            customer.fault = plan.NO_FAULT
        self._row.is_paid = bool(is_paid)

    def _sell(self, card, customer: Customer) -> bool | None:
        """True paid, False not, None left open."""
        self._to_the_prompt(customer)
        if customer.fault in (plan.RETAP, plan.LATER):
            self._row.happened.append(customer.fault)
            faults = self.terminal.reader.faults
            (faults.leave_after if customer.is_after else faults.leave_before)(plan.COMMIT)
        self.cashier.hold(card)
        seen = self.cashier.wait(PAID, LOST, TAP_SAME)
        if seen == TAP_SAME and customer.fault == plan.LATER:
            self._to_be_found += customer.is_after
            return self._leave_open()
        if seen != PAID:
            self.cashier.hold(card)
            seen = self.cashier.wait(PAID, CHARGED)
        self.terminal.run_ms(300)
        self.terminal.take(card)
        if customer.fault == plan.CUT:  # it may still hit the slip or the upload
            self.terminal.run_ms(_SETTLE_MS)
        return True

    def _leave_open(self) -> None:
        self.terminal.press("*")
        self.cashier.wait(DECIDE)
        self.terminal.press("1")
        self.cashier.wait("Noted: goods given")

    # --- trouble

    def _after_cut(self, card, amount: int, cut: PowerCut) -> bool:
        """Plug in again and believe what the terminal says about the interrupted sale."""
        self.cuts.append(cut)
        self._row.happened.append("power cut (%s)" % cut.kind)
        self.terminal.take(card)
        self.terminal.run_ms(_DARK_MS[0] + 137 * cut.number % _DARK_MS[1])
        self.terminal.power_on()
        said = self.cashier.wait(_POWER_CUT, TAP_SAME, _LAST_SALE, IDLE)
        if said in (_POWER_CUT, TAP_SAME):
            self.cashier.wait(TAP_SAME)
            self.cashier.hold(card)
            is_paid = self.cashier.wait(CHARGED, NOT_CHARGED) == CHARGED
            self.terminal.take(card)
        else:
            is_paid = "￥%d.%02d" % divmod(amount, 100) in self.terminal.screen
        self._row.happened.append("told: %s" % ("charged" if is_paid else "not charged"))
        self.cashier.wait_idle()
        return is_paid

    def _network(self, state: str) -> None:
        if state:
            self.terminal.relay.is_up = state != "down"
            self.terminal.relay.is_stalled = state == "stalled"

    def _paper(self, state: str) -> None:
        if state == "out":
            self.terminal.printer.take_out_paper()
        elif state == "in":
            self.terminal.printer.load_paper()
