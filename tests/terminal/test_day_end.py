"""The close of a day on the real firmware, and what a torn record and a changed journal leave behind."""

import books

from kassette.codec import records
from kassette.store.journal import Journal
from kassette.store.till import Till
from kassette_host.sim import wire
from kassette_host.sim.bench import JOURNAL_ID, TERMINAL
from kassette_host.sim.cashier import PAID_SALE
from kassette_host.virtual.nor import SECTOR

LOCKED = "JOURNAL IS DAMAGED"


def close_day(bench):
    bench.cashier.wait_idle()
    bench.terminal.press("C")
    bench.cashier.wait("close day")
    bench.terminal.press("C")
    bench.cashier.wait("# close  * back")
    bench.terminal.press("#")


def newest(bench, kind):
    return [records.unpack(kind, entry.payload) for entry in bench.entries() if entry.kind == kind][-1:]


def test_a_day_is_closed_without_a_network_and_the_slip_says_so(bench):
    for card, amount in zip(bench.cards, (850, 150)):
        assert bench.cashier.sell(card, amount) == PAID_SALE
    bench.terminal.run_until(lambda: len(bench.terminal.printer.slips) == 2)
    close_day(bench)
    bench.cashier.wait("5 records unsent")
    bench.terminal.run_until(lambda: len(bench.terminal.printer.slips) == 3)
    slip = bench.terminal.printer.slips[2].text.replace(" ", "")
    assert "CLOSEOFDAY" in slip and "￥10.00" in slip and "Received" not in slip and "Notsent5" in slip
    (values,) = newest(bench, records.BATCH_CLOSE)
    assert values[3:5] == (2, 1000)
    bench.cashier.wait_idle()
    bench.terminal.press("CC")
    bench.cashier.wait("NOTHING TO CLOSE")
    assert bench.cashier.sell(bench.cards[0], 100) == PAID_SALE
    books.check(bench)


def test_a_close_whose_slip_a_power_cut_kept_back_is_printed_at_the_next_start(bench):
    assert bench.cashier.sell(bench.cards[0], 850) == PAID_SALE
    bench.terminal.run_until(lambda: bench.terminal.printer.slips)
    close_day(bench)
    bench.cashier.wait("records unsent")
    bench.terminal.power_off()
    bench.terminal.power_on()
    bench.terminal.run_until(lambda: any("Not sent" in slip.text for slip in bench.terminal.printer.slips))
    slip = bench.terminal.printer.slips[-1].text.replace(" ", "")
    assert "COPY" in slip and "CLOSEOFDAY" in slip and "￥8.50" in slip


def test_a_torn_record_is_reported_by_the_next_start(bench):
    assert bench.cashier.sell(bench.cards[0], 850) == PAID_SALE
    bench.terminal.run_until(lambda: bench.terminal.printer.slips)
    last = bench.entries()[-1]
    bench.terminal.power_off()
    flash = bench.partition(wire.JOURNAL)
    flash.program((3 + last.sector - 1) * SECTOR + (last.slot + 1) * 128, b"\xa1\x02" + bytes(62))  # half an intent
    for _ in range(2):  # once said, it is not said again
        bench.terminal.power_on()
        bench.cashier.wait_idle()
        boots = [entry for entry in bench.entries() if entry.kind == records.BOOT]
        assert [records.unpack(records.BOOT, entry.payload)[1:4] for entry in boots] == [(1, 0, 2)]
        bench.terminal.power_off()
    bench.terminal.power_on()
    books.check(bench)


def test_a_changed_journal_locks_sales_also_after_a_restart(cold):
    flash = cold.partition(wire.JOURNAL)
    journal = Journal(flash, TERMINAL, JOURNAL_ID, Till())
    journal.mount()
    for _ in range(40):
        journal.append(records.CONFIG, bytearray(records.PAYLOAD_LEN))
    image = bytearray(flash.size)
    flash.read(0, image)
    at = image.find(bytes(journal.tag))  # somewhere in the sector in use
    changed = at // SECTOR * SECTOR - SECTOR + 5 * 128 + 40  # and in the sealed one before it
    for place in (changed, changed + 1):  # one bit alone would be put right
        cold.flip(wire.JOURNAL, place)
    cold.terminal.power_on()
    cold.cashier.wait(LOCKED)
    cold.terminal.run_ms(40_000)
    for _ in range(2):
        cold.cashier.key_in(850)
        cold.cashier.wait("Hold the card here")
        cold.cashier.hold(cold.cards[0])
        cold.cashier.wait(LOCKED)
        cold.terminal.take(cold.cards[0])
        cold.terminal.run_ms(5000)
        cold.terminal.power_off()
        cold.terminal.power_on()
    cold.terminal.power_off()
    for place in (changed, changed + 1):  # a reader with the root stops where the chain is broken
        cold.flip(wire.JOURNAL, place)
    values = newest(cold, records.CONFIG)
    assert [value[1:3] for value in values] == [(records.JOURNAL_DAMAGED, 1)]
    assert not newest(cold, records.INTENT)
