"""A day is closed while the back office answers: the signed word on the slip, the keys of the day gone, cuts in between."""

import pytest
from sqlalchemy import select

from kassette.codec import records
from kassette_host import journal
from kassette_host.backoffice.schema import mismatches, slots
from kassette_host.demo.reconcile import reconcile
from kassette_host.demo.shop import JOURNAL_ID, TERMINAL, DemoShop
from kassette_host.sim.cashier import IDLE, PAID_SALE, Cashier
from kassette_host.sim.power import PowerCut

pytestmark = pytest.mark.sim  # the same events in each run

AMOUNTS = (850, 150, 1234)
CUTS = (1, 2, 4, 400, -9, -6, -3, -1)  # in its record and the acknowledgement's; in the slip; in what gives the keys up


class Day:
    """A shop whose terminal is on and has sold; `with` ends it all."""

    def __enter__(self) -> "Day":
        self.shop = DemoShop(1)
        self.terminal = self.shop.terminal
        self.cashier = Cashier(self.terminal)
        self.terminal.power_on()
        self.cashier.wait_idle()
        for card, amount in zip(self.shop.cards, AMOUNTS):
            assert self.cashier.sell(card, amount) == PAID_SALE
        self.cashier.wait_idle()
        self.terminal.run_ms(10_000)
        return self

    def __exit__(self, *_) -> None:
        self.shop.close()

    def close(self) -> None:
        """C, C, #, and half a minute in which nobody touches it."""
        self.cashier.wait_idle()
        self.terminal.press("C")
        if self.cashier.wait("close day", "Make a sale first") == "close day":
            self.terminal.press("C")
            if self.cashier.wait("# close  * back", "NOTHING TO CLOSE") == "# close  * back":
                self.terminal.press("#")
        self.cashier.wait(IDLE)
        self.terminal.run_ms(40_000)

    def written(self, kind: int) -> list[tuple]:
        """The values of every record of a kind."""
        return [records.unpack(kind, entry.payload) for entry in self.shop.entries() if entry.kind == kind]

    def told(self) -> str:
        """The newest closing slip without its spaces."""
        slips = [slip.text.replace(" ", "") for slip in self.terminal.printer.slips]
        return [text for text in slips if "CLOSEOFDAY" in text][-1]

    def check_closed(self, is_cut: bool = False) -> None:
        """One closed day with all sales; the slip shows the back office's word; the day's keys are gone; the books agree.

        After a cut the slip may have been printed before the acknowledgement, and nothing may say that the keys are gone.
        """
        (values,) = self.written(records.BATCH_CLOSE)
        assert values[3:5] == (len(AMOUNTS), sum(AMOUNTS))
        assert "￥%d.%02d" % divmod(sum(AMOUNTS), 100) in self.told()
        with self.shop.store.reading() as db:
            known = {row.serial: row.tag.hex() for row in db.execute(select(slots.c.serial, slots.c.tag))}
            assert not list(db.execute(select(mismatches)))
        received = [line for line in self.told().splitlines() if "1.." in line]
        for line in received:
            assert known[int(line.split("1..")[1])] in self.told()
        rolled = [values[1] for values in self.written(records.KEY_ROLL)]
        assert (len(received), rolled) == (1, [1]) or (is_cut and len(received) < 2 and rolled in ([], [1]))
        assert journal.batch_key(self.shop.share.journal_root, TERMINAL, JOURNAL_ID, 0) not in bytes(
            self.shop.chip.memory
        )
        assert reconcile(self.shop).differences == []


def test_a_day_is_closed_with_the_back_offices_signature():
    with Day() as day:
        day.close()
        day.check_closed()
        assert "Notsent0" in day.told() and "LATE" not in day.told() and "COPY" not in day.told()
        assert day.cashier.sell(day.shop.cards[4], 100) == PAID_SALE
        day.terminal.run_ms(20_000)
        assert reconcile(day.shop).differences == []


@pytest.fixture(scope="module")
def events():
    """How many a whole close has."""
    with Day() as day:
        before = day.terminal.plug.count
        day.close()
        return day.terminal.plug.count - before


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_on_the_way_leaves_a_day_that_is_closed_once(events, cut):
    with Day() as day:
        day.terminal.plug.cut_after(cut if cut > 0 else events + 1 + cut)
        with pytest.raises(PowerCut):
            day.close()
        day.terminal.run_ms(500)
        day.terminal.power_on()
        day.close()
        day.terminal.run_ms(60_000)
        day.check_closed(is_cut=True)
