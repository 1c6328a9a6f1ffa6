"""Bad input and broken parts: a coded state on the screen, a log line without secrets, nothing lost, still usable."""

import books
import pytest

from kassette_host import provision
from kassette_host.sim import bench as bench_module
from kassette_host.sim import starter, wire
from kassette_host.sim.cashier import IDLE, PAID, PAID_SALE, TAP
from kassette_host.virtual.faults import TO_CHIP, TO_HOST
from kassette_host.virtual.nor import SECTOR


def boots_to(cold, *texts: str) -> str:
    cold.terminal.power_on()
    return cold.cashier.wait(*texts)


# --- what a terminal needs to work at all


def test_no_settings(cold):
    for sector in range(2):
        cold.partition(wire.SETTINGS).erase(sector)
    boots_to(cold, "NO SETTINGS")
    cold.terminal.press("5#")
    assert "NO SETTINGS" in cold.terminal.screen
    assert "out of service 701 4096" in cold.terminal.log or "out of service 701 0" in cold.terminal.log


def test_settings_with_a_flipped_bit_come_from_their_other_copy(cold):
    cold.flip(wire.SETTINGS, 100)
    boots_to(cold, IDLE)


def test_settings_whose_both_copies_are_damaged(cold):
    cold.flip(wire.SETTINGS, 100)
    cold.flip(wire.SETTINGS, SECTOR + 100)
    boots_to(cold, "SETTINGS DAMAGED")


def test_no_journal(cold):
    journal = cold.partition(wire.JOURNAL)
    for sector in range(journal.size // SECTOR):
        journal.erase(sector)
    boots_to(cold, "NO JOURNAL FOUND")


def test_the_journal_of_another_terminal(cold):
    other = provision.terminal_share(
        bench_module.Pki(bench_module.BUILD / "pki"),
        b"public journal k",
        bench_module.TERMINAL + 1,
        1,
        journal_id=1,
        debit_keys=((1, bytes(16)),),
        token_key=bytes(16),
        drbg_seed=bytes(32),
        signer_modulus=bytes(256),
        port=1,
        shop_name="x",
        shop_name_ascii="x",
    )
    provision.install(cold.partition(wire.SETTINGS), other)
    boots_to(cold, "JOURNAL IS FOREIGN", "WRONG JOURNAL KEY")


@pytest.mark.sim
def test_both_bundles_damaged_say_so_in_the_log(cold):
    cold.flip(wire.BUNDLE_A, 1000)
    with pytest.raises(wire.FirmwareGone):
        cold.terminal.power_on()
    assert list(cold.terminal.log) == ["E704 bundle A is not whole", "E704 bundle B is not whole"]


def test_the_other_slot_is_taken_when_one_bundle_is_damaged(cold):
    program = bytearray(cold.partition(wire.BUNDLE_A).size)
    cold.partition(wire.BUNDLE_A).read(0, program)
    cold.partition(wire.BUNDLE_B).program(0, program)
    cold.flip(wire.BUNDLE_A, 1000)
    boots_to(cold, IDLE)
    assert cold.cashier.sell(cold.cards[0], 850) == PAID_SALE


@pytest.mark.sim
def test_a_firmware_that_restarts_before_it_is_idle_is_given_up(cold):
    lines = "import sys", "from sim import hostlink", "hostlink.connect(sys.argv[1].encode())"
    source = "\n".join((*lines, "hostlink.say('again')", "hostlink.restart()"))
    starter.put_in_build("restless_main.py", source.encode())
    cold.terminal.main = "restless_main.py"
    with pytest.raises(wire.FirmwareGone, match="E999"):
        cold.terminal.power_on()
    assert not cold.terminal.is_on
    assert list(cold.terminal.log) == ["again"] * cold.terminal.lives and 1 < cold.terminal.lives < 20
    cold.terminal.main = "main.py"
    boots_to(cold, IDLE)


# --- the reader


def test_a_silent_reader_is_said_and_comes_back(bench):
    bench.terminal.reader.faults.silent = True
    bench.cashier.key_in(850)
    bench.cashier.wait("CARD READER SILENT")
    bench.terminal.reader.faults.silent = False
    bench.cashier.wait_idle()
    assert bench.cashier.sell(bench.cards[0], 850) == PAID_SALE
    books.check(bench)


def test_a_reader_that_lost_its_power_is_found_again(bench):
    bench.terminal.reader.power_cycle()
    bench.cashier.key_in(850)
    bench.cashier.wait("CARD READER SILENT", TAP)
    bench.terminal.press("*")
    bench.cashier.wait_idle()
    assert bench.cashier.sell(bench.cards[0], 850) == PAID_SALE


@pytest.mark.parametrize("direction", [TO_CHIP, TO_HOST], ids=["to-chip", "to-host"])
@pytest.mark.parametrize("fault", ["lose", "corrupt", "insert"])
@pytest.mark.parametrize("at", [3, 40, 90, 150, 210, 260])
def test_a_bad_byte_on_the_readers_wire(bench, direction, fault, at):
    bench.cashier.key_in(850)
    bench.cashier.wait(TAP)
    faults = bench.terminal.reader.faults
    if fault == "insert":
        faults.insert(direction, at, b"\x00\xff\x55")
    else:
        getattr(faults, fault)(direction, at)
    bench.cashier.hold(bench.cards[0])
    for _ in range(12):
        seen = bench.cashier.wait(PAID, IDLE, "Tap the SAME card", "CARD LEFT", limit_ms=200_000)
        if seen in (PAID, IDLE):
            break
        bench.terminal.take(bench.cards[0])
        bench.cashier.hold(bench.cards[0])
        bench.terminal.run_ms(4000)
    books.check(bench)
    bench.terminal.take(bench.cards[0])
    bench.cashier.wait_idle()
    assert bench.cashier.sell(bench.cards[1], 100) == PAID_SALE
    books.check(bench)


# --- the printer


def test_paper_out_the_sale_stands_and_the_slip_comes_late(bench):
    bench.terminal.printer.take_out_paper()
    assert bench.cashier.sell(bench.cards[0], 850) == PAID_SALE
    bench.cashier.wait("PAPER OUT")
    assert bench.cashier.sell(bench.cards[1], 150) == PAID_SALE
    bench.terminal.run_ms(5000)
    assert not bench.terminal.printer.slips
    bench.terminal.printer.load_paper()
    bench.terminal.run_until(lambda: len(bench.terminal.printer.slips) == 2)
    assert all("LATE PRINT" in slip.text for slip in bench.terminal.printer.slips)
    bench.terminal.run_ms(5000)
    assert "PAPER OUT" not in bench.terminal.screen
    books.check(bench)


def test_paper_that_ends_within_a_slip_prints_it_again_whole(bench):
    bench.terminal.printer.take_out_paper(after_lines=4)
    bench.cashier.sell(bench.cards[0], 850)
    bench.terminal.run_ms(20_000)
    bench.terminal.printer.load_paper()
    bench.terminal.run_until(lambda: any("Thank you" in slip.text for slip in bench.terminal.printer.slips))


@pytest.mark.parametrize(
    "broken, mended, text",
    [("open_cover", "close_cover", "PRINTER COVER OPEN"), ("unplug", "plug_in", "PRINTER SILENT")],
)
def test_a_printer_in_trouble(bench, broken, mended, text):
    getattr(bench.terminal.printer, broken)()
    assert bench.cashier.sell(bench.cards[0], 850) == PAID_SALE
    bench.cashier.wait(text)
    getattr(bench.terminal.printer, mended)()
    bench.terminal.run_until(lambda: bench.terminal.printer.slips)
    assert "LATE PRINT" in bench.terminal.printer.slips[-1].text


# --- the journal


@pytest.mark.timeout(1800)  # on an emulated chip a sale takes seconds
def test_a_full_journal_refuses_before_the_card_is_touched(new_bench):
    with new_bench(journal_size=16 * SECTOR) as bench:
        sold = 0
        while True:
            bench.cashier.key_in(1)
            bench.cashier.wait(TAP)
            bench.cashier.hold(bench.cards[0])
            ended = bench.cashier.wait(PAID, "JOURNAL IS FULL")
            bench.terminal.take(bench.cards[0])
            if ended != PAID:
                break
            sold += 1
            bench.terminal.press("#")
        assert sold > 40
        books.check(bench)
        bench.cashier.wait_idle()
        bench.cashier.wait("JOURNAL IS FULL")
        bench.terminal.press("A")
        bench.cashier.wait("Balance: hold")
        bench.cashier.hold(bench.cards[1])
        bench.cashier.wait("Card *")


def test_no_secret_is_in_the_log_or_on_the_console(bench):
    bench.cashier.sell(bench.cards[0], 850)
    text = " ".join(bench.terminal.log) + bench.terminal.printed
    share = bench_module.share()
    for secret in (share.journal_root, share.drbg_seed, share.debit_keys[0][1], bench.cards[0].uid):
        assert secret.hex() not in text.lower()
        assert repr(bytes(secret)) not in text
