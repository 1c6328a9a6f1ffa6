"""What only a chip can show: its own port, its radio, TLS on it, programs that talk to it, the plug of the whole board."""

import json
import pathlib
import random
import socket
import subprocess
import sys

import books
import pytest
from cables import Cables
from test_power import LAST_SALE, UNKNOWN

from kassette_host import bundle
from kassette_host.backoffice.views import terminal_list
from kassette_host.demo.reconcile import reconcile
from kassette_host.demo.shop import CARDS
from kassette_host.rig.bench import ChipBench
from kassette_host.rig.shop import ChipShop
from kassette_host.rig.target import Emulated
from kassette_host.rig.usb import UsbChip
from kassette_host.sim import wire
from kassette_host.sim.bench import card_balance
from kassette_host.sim.cashier import CHARGED, CONFIRM, IDLE, NOT_CHARGED, PAID_SALE, TAP, TAP_SAME

pytestmark = [pytest.mark.chip, pytest.mark.timeout(3600)]
_HEAP_MOST = 105_000  # the collector's heap, live and garbage: beyond it a third area takes what TLS needs
_VECTORS = pathlib.Path(__file__).parents[1] / "vectors/pn532_libnfc_frames.json"


@pytest.fixture
def shop(chip_target):
    made = ChipShop(target=chip_target)
    yield made
    made.close()


def heard(terminal, text):
    return any(text in line for line in terminal.log)


def all_sent(shop):
    """Until the back office has acknowledged what is in the journal."""
    newest = shop.entries()[-1].serial
    shop.terminal.run_until(lambda: acknowledged(shop) >= newest, limit_ms=300_000)


def acknowledged(shop):
    with shop.store.reading() as db:
        return terminal_list(db)[0]["acked_serial"]


# --- the start


def test_both_programs_damaged_is_a_code_on_the_screen(cold):
    cold.flip(wire.BUNDLE_A, 1000)
    cold.terminal.power_on()
    cold.terminal.run_until(lambda: heard(cold.terminal, "E704 bundle_b"), limit_ms=120_000)
    assert heard(cold.terminal, "E704 bundle_a")
    cold.terminal.run_until(lambda: sum(cold.terminal.display.pixels()) > 0)


def test_without_a_panel_it_boots_and_the_panel_may_come_later(cold):
    cold.terminal.panel.is_silent = True
    cold.terminal.power_on()
    cold.terminal.run_until(lambda: heard(cold.terminal, "ready"), limit_ms=180_000)
    assert heard(cold.terminal, "E605")
    cold.terminal.panel.is_silent = False
    cold.terminal.panel.plug_in()
    cold.cashier.wait_idle()
    assert cold.cashier.sell(cold.cards[0], 850) == PAID_SALE


def test_a_panel_that_sends_nonsense_is_not_listened_to(bench):
    draw = random.Random(5)
    for _ in range(20):
        bench.terminal.chip.lines[1].send(draw.randbytes(200) + b"\xa5\x82\x02\x00\xff\xff\x00\x00\x00\x00")
        bench.terminal.run_ms(100)
    assert IDLE in bench.terminal.screen
    assert bench.cashier.sell(bench.cards[0], 850) == PAID_SALE
    assert bench.terminal.figures().frames_dropped > 0
    books.check(bench)


# --- seen by programs that nobody here wrote


def test_what_the_reader_is_sent_is_what_libnfc_sends(cold):
    """Every command of the chip alone that both send is the same to the byte, the wake-up too."""
    sent = []
    cold.terminal.on_reader_bytes = lambda direction, data: sent.append(data) if direction == ">" else None
    cold.start()
    recorded = {bytes.fromhex(frame["frame"]) for frame in json.loads(_VECTORS.read_text())["frames"]}
    common = {frame for frame in recorded if frame in b"".join(sent)}
    for data in ("d402", "d4320100"):  # who are you, field off
        assert any(data in frame.hex() for frame in common), data


def test_mpremote_finds_a_board_with_our_files(cold):
    said = mpremote(cold.start(), "fs", "ls")
    assert "main.py" in said and "network.txt" in said
    assert mpremote(cold, "exec", "import sys; print(sys.platform, sys.version)").startswith(
        "esp32 3.4.0; MicroPython v1.24"
    )


def mpremote(bench, *words):
    """What it prints, while the chip goes on."""
    place = "socket://127.0.0.1:%d" % bench.terminal.console.lend()
    command = [str(pathlib.Path(sys.executable).parent / "mpremote"), "connect", place, *words]
    asking = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        bench.terminal.run_until(lambda: asking.poll() is not None, limit_ms=60_000)
    finally:
        asking.kill()
        bench.terminal.console.take_back()
    said = asking.communicate()[0]
    assert asking.returncode == 0, said
    return said


# --- the network


def test_offline_sales_go_up_over_mutual_tls_and_the_books_agree(shop):
    shop.start()
    for card, amount in zip(shop.cards, (850, 300, 120)):
        assert shop.cashier.sell(card, amount) == PAID_SALE
    assert acknowledged(shop) == 0
    shop.terminal.relay.is_up = True
    all_sent(shop)
    assert shop.cashier.sell(shop.cards[0], 99) == PAID_SALE
    all_sent(shop)
    verdict = reconcile(shop)
    assert verdict.differences == [] and verdict.takings == 850 + 300 + 120 + 99


def test_the_chips_clock_follows_the_back_offices_from_the_second_connection_on(shop):
    shop.terminal.relay.is_up = True
    shop.start()
    shop.cashier.wait("CLOCK NOT SET")
    shop.terminal.run_until(
        lambda: shop.terminal.relay.moved[1] and not shop.cashier.sees("CLOCK NOT SET"), limit_ms=120_000
    )
    connections = shop.terminal.relay.accepted
    shop.terminal.relay.drop()
    assert shop.cashier.sell(shop.cards[0], 850) == PAID_SALE
    all_sent(shop)
    assert shop.terminal.relay.accepted > connections
    told = int(mpremote(shop, "exec", "import time; print(time.time() + 946684800)"))
    assert 0 <= told - (bundle.build_time() + 86_400) < 3600  # a day after the build, which is when the shop opened


@pytest.mark.parametrize("named", [{"ssid": "nobody"}, {"key": "a wrong key"}], ids=["absent", "refuses"])
def test_without_a_radio_network_sales_go_on(new_bench, named):
    with new_bench(**named) as bench:
        assert "[net]" not in bench.terminal.screen
        assert bench.cashier.sell(bench.cards[0], 850) == PAID_SALE
        bench.cashier.wait("NETWORK DOWN", limit_ms=60_000)
        books.check(bench)


def test_a_network_that_comes_and_goes_stops_no_sale_and_loses_nothing(shop):
    shop.start()
    for turn in range(4):
        shop.terminal.relay.is_up = turn % 2 == 0
        assert shop.cashier.sell(shop.cards[turn], 100 + turn) == PAID_SALE
        shop.terminal.run_ms(4000)
    shop.terminal.relay.is_up = True
    all_sent(shop)
    assert reconcile(shop).differences == []


@pytest.mark.emulated
def test_a_network_that_is_cut_behind_the_radio_comes_back(shop):
    """The emulator's radio stays connected all the while, as one does whose access point has lost its own way out."""
    shop.terminal.relay.is_up = True
    shop.start()
    assert shop.cashier.sell(shop.cards[0], 850) == PAID_SALE
    all_sent(shop)
    shop.terminal.chip.set_network(False)
    assert shop.cashier.sell(shop.cards[1], 300) == PAID_SALE
    shop.terminal.run_until(lambda: heard(shop.terminal, "uplink 502"), limit_ms=120_000)
    shop.terminal.chip.set_network(True)
    all_sent(shop)
    assert reconcile(shop).differences == []


def test_a_key_press_abandons_a_handshake_and_the_next_one_is_made(shop):
    office = shop.terminal.relay.target
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        shop.terminal.relay.target = silent.getsockname()
        shop.terminal.relay.is_up = True
        shop.start()
        end, _ = shop.terminal.run_until(lambda: tried(silent.accept), limit_ms=120_000)
        end.setblocking(False)
        hello = shop.terminal.run_until(lambda: tried(lambda: end.recv(4096)))
        assert hello[0] == 22  # TLS: a handshake
        shop.terminal.press("8")
        assert "0.08" in shop.terminal.screen
        shop.terminal.run_until(lambda: tried(lambda: end.recv(4096)) == b"")
        end.close()
    shop.terminal.relay.target = office
    shop.terminal.press("#")
    shop.cashier.wait(CONFIRM)
    shop.terminal.press("*")
    assert shop.cashier.sell(shop.cards[0], 850) == PAID_SALE
    all_sent(shop)


def tried(call):
    """What it gives, or None while there is nothing yet."""
    try:
        return call()
    except BlockingIOError:
        return None


@pytest.mark.emulated
def test_the_same_rig_over_serial_devices():
    wired = Wired()
    try:
        with ChipBench(target=wired) as bench:
            assert bench.cashier.sell(bench.cards[0], 850) == PAID_SALE
            bench.terminal.power_off()
            bench.start()
            assert bench.cashier.sell(bench.cards[0], 150) == PAID_SALE
            books.check(bench)
    finally:
        wired.cables.close()


class Wired(Emulated):
    """The emulated chip behind three PTYs, as a board behind its cables."""

    def chip(self, path):
        self.cables = Cables(super().chip(path))
        return UsbChip(self.cables.ports, reset=self.cables.reset)


@pytest.mark.soak
def test_the_hard_order_fifty_sales_offline_then_tls_then_a_sale_with_the_connection_open(shop):
    shop.start()
    heaps = [shop.terminal.figures()]
    for turn in range(50):
        assert shop.cashier.sell(shop.cards[turn % CARDS], 100 + turn) == PAID_SALE
        read_away(shop)
        heaps.append(shop.terminal.figures())
    shop.terminal.relay.is_up = True
    all_sent(shop)
    heaps.append(shop.terminal.figures())
    assert shop.terminal.relay.is_open
    assert shop.cashier.sell(shop.cards[0], 77) == PAID_SALE
    heaps.append(shop.terminal.figures())
    print(*heaps[:1] + heaps[-4:], sep="\n")
    all_sent(shop)
    assert reconcile(shop).differences == []
    assert max(heap.heap_live for heap in heaps) < _HEAP_MOST and shop.terminal.lives == 1


def read_away(bench):
    """The result is read, the next customer waits."""
    bench.terminal.press("#")
    bench.cashier.wait_idle()


@pytest.mark.soak
def test_five_hundred_sales_offline_and_online_in_turn(shop):
    shop.start()
    live = []
    for turn in range(500):
        shop.terminal.relay.is_up = turn // 10 % 2 == 1
        assert shop.cashier.sell(shop.cards[turn % CARDS], 1 + turn % 50) == PAID_SALE
        read_away(shop)
        if turn % 25 == 24:
            live.append(shop.terminal.figures().heap_live)
            print(turn + 1, live[-1], flush=True)
    shop.terminal.relay.is_up = True
    all_sent(shop)
    assert reconcile(shop).differences == []
    assert shop.terminal.lives == 1
    assert max(live[10:]) <= max(live[:10]) + 1024


# --- the plug


_SPANS_MS = ((0, 110), (90, 170), (150, 300), (300, 2000), (0, 4000))  # up to debit, commit, slip, its end; anywhere
_DEBIT, _COMMIT = 0xDC, 0xC7


def kill_in_sales(bench, seeds):
    """SIGKILL by the clock within a sale, wherever the chip is; where that was and what each boot says of it, counted."""
    said = {}
    owned = books.OPENING
    for seed in seeds:
        draw = random.Random(seed)
        bench.cashier.key_in(1 + seed)
        bench.cashier.wait(TAP)
        asked, slips = [], len(bench.terminal.printer.slips)
        bench.terminal.reader.on_command = lambda command, asked=asked: asked.extend(command[3:4])
        bench.terminal.tap(bench.cards[0])
        bench.terminal.run_ms(draw.randint(*_SPANS_MS[seed % len(_SPANS_MS)]))
        bench.terminal.power_off()
        bench.terminal.take(bench.cards[0])
        where = place(asked, bench.terminal.printer, slips)
        bench.terminal.power_on()
        told = settle(bench)
        left = card_balance(bench.cards[0])
        assert owned - left in (0, 1 + seed), "seed %d" % seed
        if told != LAST_SALE:
            assert (owned > left) == (told == CHARGED), "seed %d: %s" % (seed, told)
        books.check(bench)
        owned = left
        said[where, told] = said.get((where, told), 0) + 1
        print(seed, where, told, said, flush=True)
    return said


def place(asked, printer, slips):
    """How far the sale was, by what the card was asked and what the printer has."""
    if len(printer.slips) > slips:
        return "after the slip"
    if printer.current and _COMMIT in asked:
        return "in the slip"
    return "after the commit" if _COMMIT in asked else "after the debit" if _DEBIT in asked else "before the debit"


def settle(bench):
    """What the terminal says when it has booted; what is open is settled with its card."""
    told = bench.cashier.wait(UNKNOWN, TAP_SAME, NOT_CHARGED, LAST_SALE, IDLE)
    if told == LAST_SALE:
        slips = books.outcomes(bench)
        assert slips[max(slips)] == "paid"
        bench.cashier.wait("Slip %d" % max(slips))
    if told in (UNKNOWN, TAP_SAME):
        bench.cashier.wait(TAP_SAME)
        bench.cashier.hold(bench.cards[0])
        told = bench.cashier.wait(CHARGED, NOT_CHARGED)
        bench.terminal.take(bench.cards[0])
    bench.cashier.wait_idle()
    return told


def test_twenty_kills_at_random_moments_of_sales(bench):
    assert sum(kill_in_sales(bench, range(20)).values()) == 20


@pytest.mark.soak
def test_eighty_more_kills(bench):
    assert sum(kill_in_sales(bench, range(20, 100)).values()) == 80
