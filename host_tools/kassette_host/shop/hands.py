"""What a person at the counter can do to the terminal and around it: one function for each command of the page."""

import random
from collections.abc import Callable
from typing import Any

from kassette_host.shop.commands import Refusal
from kassette_host.shop.rack import RackCard
from kassette_host.shop.site import Site
from kassette_host.shop.stripes import StripeCard
from kassette_host.sim.power import PowerCut
from kassette_host.virtual import stripe_head

OPENING_MINOR = 5000
_KEY_DOWN_US = 40_000  # the shortest press, and the shortest pause between two presses of one key
_KEY_UP_US = 40_000
_BETWEEN_KEYS_US = 30_000  # so no more than two of the shortest presses overlap


class Hands:
    """Done by the till's thread, between two moments of the terminal. Raises Refusal, PowerCut, FirmwareGone."""

    def __init__(self, site: Site, say: Callable[[str], None]):
        self._site = site
        self._say = say
        self._terminal = site.terminal
        self.cut: str | None = None  # why the power is off: the plug, or a cut in an operation
        self.fault: str | None = None  # what the firmware's process said when it ended by itself
        self.is_armed = False
        self.tear = (0, "before")
        self._laid: set[int] = set()
        self._down_us: dict[str, int] = {}  # keys that are held -> since when
        self._up_us: dict[str, int] = {}
        self._next_press_us = 0
        self._terminal.flash.on_event = self._flash_event
        self._terminal.reader.on_card_frame = self._frame_saver(self._terminal.reader.on_card_frame)
        self._terminal.printer.on_slip = site.slips.take

    # --- keys

    def key_down(self, key: str) -> None:
        """Down until `key_up`, but as a finger does it: not two keys at the very same moment."""
        if key in self._down_us:
            return
        now = self._terminal.timeline.now_us
        start = max(now, self._next_press_us, self._up_us.get(key, 0) + _KEY_UP_US)
        self._next_press_us = start + _BETWEEN_KEYS_US
        self._down_us[key] = start
        self._terminal.timeline.call_later(start - now, self._terminal.keypad.press, key)

    def key_up(self, key: str) -> None:
        """Up again, after the shortest time that a rubber key takes: clicks of a machine are shorter than a bounce."""
        if key not in self._down_us:
            return
        now = self._terminal.timeline.now_us
        end = max(now, self._down_us.pop(key) + _KEY_DOWN_US)
        self._up_us[key] = end
        self._terminal.timeline.call_later(end - now, self._terminal.keypad.release, key)

    # --- cards

    def _card(self, card: int) -> RackCard:
        found = self._site.rack.find(card)
        if found is None:
            raise Refusal("no-such-card", "there is no such card")
        return found

    def is_laid(self, one: RackCard) -> bool:
        return one.card in self._terminal.reader.field

    def card_put(self, card: int) -> None:
        """Into the reader's field."""
        if self._site.real_reader:
            raise Refusal("real-reader", "a real reader is connected: hold a real card to it")
        self._laid.add(self._card(card).id)
        self._terminal.tap(self._card(card).card)

    def card_take(self, card: int) -> None:
        """Away from it: the card loses its power at once."""
        one = self._card(card)
        self._laid.discard(card)
        self._terminal.take(one.card)
        self._site.rack.save(one)

    def watch_field(self) -> None:
        """A card that has left by itself was the torn tap that somebody asked for; that switch is spent."""
        left = {card for card in self._laid if not self.is_laid(self._card(card))}
        if left:
            self._save(left)
            self._laid -= left
            self.tear = (0, self.tear[1])

    def _save(self, cards: set[int]) -> None:
        for card in cards:
            self._site.rack.save(self._card(card))

    def _frame_saver(self, inner: Callable[[str, bytes], None]) -> Callable[[str, bytes], None]:
        def on_frame(direction: str, data: bytes) -> None:
            try:
                inner(direction, data)
            finally:  # also when the plug is pulled at this very frame: the card has acted
                if direction == "<":
                    self._save(self._laid)

        return on_frame

    def new_card(self) -> None:
        """A card off the pile, issued by the back office with some money on it."""
        one = self._site.issue(OPENING_MINOR)
        self._say("card …%s of %s issued" % (one.last4, one.holder))

    def top_up(self, card: int, amount: int) -> None:
        """More money, through the back office."""
        one = self._card(card)
        if self.is_laid(one):
            raise Refusal("card-away", "take the card off the reader first: the back office needs it")
        self._site.top_up(one, amount)
        self._say("card …%s of %s topped up" % (one.last4, one.holder))

    # --- stripes

    def swipe(self, stripe: int, path: list[list[int]]) -> None:
        """Drag a stripe through: where the head stood on the card, in tenths of a millimetre, at which millisecond."""
        one = self._stripe(stripe)
        slot = self._terminal.slot
        if not slot.tracks:
            raise Refusal("no-slot", "this terminal has no stripe reader")
        rng = random.Random(self._terminal.timeline.now_us)
        hand = [(float(ms), place / 10) for ms, place in path]
        if not slot.swipe(stripe_head.drag(stripe_head.stripe(one.tracks), hand, one.wear, rng)):
            raise Refusal(
                "not-listening", "the terminal listens when it asks for a card: key in an amount, or # to try one"
            )

    def _stripe(self, stripe: int) -> StripeCard:
        found = self._site.stripes.find(stripe)
        if found is None:
            raise Refusal("no-such-card", "there is no such card")
        return found

    def write_stripes(self, sequences: dict[int, int]) -> None:
        """New stripes onto the cards of accounts that the back office gave one: account -> the sequence that it takes."""
        for account, sequence in sequences.items():
            one = self._site.stripes.renew(account, sequence)
            if one:
                self._say("stripe no. %d written for %s" % (sequence, one.holder))

    def fill(self, stripe: int, amount: int) -> None:
        """More money into the account behind a stripe."""
        one = self._stripe(stripe)
        self._site.office.fill(one.account, amount)
        self._say("the account of %s topped up" % one.holder)

    # --- paper

    def paper(self, loaded: bool) -> None:
        if loaded:
            self._terminal.printer.load_paper()
        else:
            self._terminal.printer.take_out_paper()

    def tear_off(self, slip: int) -> None:
        if not self._site.slips.tear_off(slip):
            raise Refusal("no-such-slip", "there is no such slip")

    # --- what goes wrong

    def network(self, state: str) -> None:
        self._terminal.relay.is_up = state != "down"
        self._terminal.relay.is_stalled = state == "silent"

    @property
    def network_state(self) -> str:
        relay = self._terminal.relay
        return "down" if not relay.is_up else "silent" if relay.is_stalled else "up"

    def torn(self, command: int, lost: str) -> None:
        """The card will leave at the n-th command from now on; 0: it stays."""
        faults = self._terminal.reader.faults
        faults.stay()
        self.tear = (command, lost)
        if command:
            (faults.leave_before if lost == "before" else faults.leave_after)(command)

    # --- power

    def plug(self, state: str) -> None:
        {"in": self.plug_in, "out": self.pull, "arm": self.arm, "keep": self.disarm}[state]()

    def plug_in(self) -> None:
        if self._terminal.is_on:
            return
        self.cut = self.fault = None
        self._terminal.power_on()
        self._say("the terminal is on (life %d)" % self._terminal.lives)

    def pull(self) -> None:
        self.disarm()
        if self._terminal.is_on:
            self._terminal.power_off()
            self.cut = "The plug is pulled."
            self._say("the plug is pulled")

    def arm(self) -> None:
        """The next flash operation tears, and the power goes with it."""
        if not self._terminal.is_on:
            raise Refusal("no-power", "there is no power to cut")
        self.is_armed = True

    def disarm(self) -> None:
        self.is_armed = False
        self._terminal.plug.keep()

    def _flash_event(self, kind: str) -> None:
        if self.is_armed:
            self.is_armed = False
            self._terminal.plug.cut_after(1)
        self._terminal.plug.event(kind)

    def note_cut(self, cut: PowerCut) -> None:
        what = {"program": "a flash write", "erase": "a flash erase"}.get(cut.kind, cut.kind)
        self.cut = "Power cut in the middle of %s." % what
        self._say("power cut in the middle of %s" % what)

    def note_fault(self, text: str) -> None:
        self.fault = "The firmware's process ended by itself.\n%s" % text[-1500:]
        self._say("the firmware's process ended by itself: %s" % (text.strip().splitlines() or [""])[-1])

    # --- provisioning

    def provision(self) -> None:
        """Give a blank terminal its keys and an empty journal."""
        if self._site.is_provisioned:
            raise Refusal("has-keys", "the terminal has its keys")
        was_on = self._terminal.is_on
        self._terminal.power_off()
        self._site.provision()
        self._say("the terminal is provisioned")
        if was_on:
            self.plug_in()


DEEDS: dict[str, Callable[..., Any]] = {
    "key_down": Hands.key_down,
    "key_up": Hands.key_up,
    "card_put": Hands.card_put,
    "card_take": Hands.card_take,
    "swipe": Hands.swipe,
    "fill": Hands.fill,
    "new_card": Hands.new_card,
    "top_up": Hands.top_up,
    "paper": Hands.paper,
    "tear_off": Hands.tear_off,
    "network": Hands.network,
    "plug": Hands.plug,
    "tear": Hands.torn,
    "provision": Hands.provision,
}
