"""Whatever comes in from outside: a code and words in both languages, no secret in the log, no money moved, still in service."""

import contextlib
import dataclasses
import socket
import ssl
import threading

import books
import pytest

from kassette_host import demo, pki, provision, texts
from kassette_host.backoffice.tls import server_context
from kassette_host.cards.layout import HEADER_VERSION, Header
from kassette_host.cards.personalise import personalise
from kassette_host.demo.shop import DemoShop
from kassette_host.sim import bench as bench_module
from kassette_host.sim import wire
from kassette_host.sim.cashier import IDLE, PAID_SALE, TAP, Cashier
from kassette_host.virtual.desfire import DesfireCard, activate
from kassette_host.virtual.iso14443a import CardA
from kassette_host.virtual.isodep import Type4ACard
from kassette_host.virtual.pn532_pty import EXPIRES_AT, PUBLIC_MASTERS

pytestmark = pytest.mark.sim  # noise on its own wires, servers in virtual time
TEXTS = texts.load()[0]
NOISE = bytes(range(256)) + b"\0\0\xff" * 9 + b"\xff" * 300
UID = bytes.fromhex("04112233445599")


def words(code):
    """The English line that names a code, as far as no number stands in it."""
    return TEXTS[code].cashier[2].partition("{")[0].strip()


def told(cashier, code):
    """Wait for the screen of a code: its number, its hanzi, its English."""
    cashier.wait(words(code))
    screen = cashier.terminal.screen.replace(" ", "")
    assert str(code) in screen
    assert texts.plain(TEXTS[code].cashier[0]).replace(" ", "") in screen


def unharmed(bench, sold=0):
    """Nothing leaked, nobody was charged but for `sold`, and the next customer is served."""
    assert bench.terminal.printed == ""
    share = bench_module.share()
    for secret in (share.journal_root, share.drbg_seed, share.debit_keys[0][1], *(card.uid for card in bench.cards)):
        assert secret.hex() not in " ".join(bench.terminal.log).lower()
    assert books.missing_on_cards(bench) == books.taken(bench) == sold
    bench.cashier.wait_idle()
    assert bench.cashier.sell(bench.cards[1], 100) == PAID_SALE
    books.check(bench)


# --- the wires


@pytest.mark.parametrize("channel", [wire.READER, wire.PRINTER], ids=["reader", "printer"])
def test_noise_on_an_idle_wire(bench, channel):
    for _ in range(5):
        bench.terminal.deliver(channel, NOISE[:500])
        bench.terminal.run_ms(700)
    unharmed(bench)
    bench.terminal.run_until(lambda: bench.terminal.printer.slips)


@pytest.mark.parametrize("channel", [wire.READER, wire.PRINTER], ids=["reader", "printer"])
def test_noise_while_a_card_is_awaited_and_while_a_slip_is_printed(bench, channel):
    bench.cashier.key_in(850)
    bench.cashier.wait(TAP)
    bench.terminal.deliver(channel, NOISE[:500])
    bench.terminal.run_ms(300)
    bench.cashier.hold(bench.cards[0])
    while bench.cashier.wait("Paid", IDLE, words(102), words(110)) not in ("Paid", IDLE):
        bench.terminal.take(bench.cards[0])
        bench.cashier.hold(bench.cards[0])
    for _ in range(3):
        bench.terminal.deliver(channel, NOISE[:500])
        bench.terminal.run_ms(200)
    bench.terminal.take(bench.cards[0])
    unharmed(bench, books.taken(bench))


# --- cards


def change_answer(card, code, change):
    """The card answers a command as `change` makes of what it should."""
    execute = card.execute
    card.execute = lambda command: change(execute(command)) if command[0] == code else execute(command)


@pytest.mark.parametrize("command", [0xBD, 0xBB, 0xDC, 0x3B], ids=["header", "record", "debit", "write"])
@pytest.mark.parametrize(
    "change, code",
    [(lambda a: a[:-1] + bytes([a[-1] ^ 1]), 203), (lambda a: a[:-3], 204), (lambda a: a[:1], 204)],
    ids=["wrong-mac", "short", "empty"],
)
def test_a_card_that_answers_wrong(bench, command, change, code):
    change_answer(bench.cards[0], command, change)
    bench.cashier.key_in(850)
    bench.cashier.wait(TAP)
    bench.cashier.hold(bench.cards[0])
    told(bench.cashier, code)
    bench.terminal.take(bench.cards[0])
    del bench.cards[0].execute  # it answers right again
    unharmed(bench)


def other_issuers_card():
    """A purse like ours, under keys that we don't have."""
    card = DesfireCard(UID)
    header = Header(HEADER_VERSION, 0, 0, 0, 1234, 1, 156, EXPIRES_AT)
    personalise(activate(card), UID, {n: bytes([n + 1]) * 16 for n in PUBLIC_MASTERS}, header, 10_000, 1_700_000_000)
    card.power_off()
    return card


@pytest.mark.parametrize(
    "card, code",
    [(lambda: DesfireCard(UID), 112), (lambda: Type4ACard(UID), 112), (other_issuers_card, 202)],
    ids=["unformatted", "no-desfire", "foreign-keys"],
)
def test_a_card_that_is_not_ours(bench, card, code):
    stranger = card()
    bench.cashier.key_in(850)
    bench.cashier.wait(TAP)
    bench.cashier.hold(stranger)
    told(bench.cashier, code)
    bench.terminal.take(stranger)
    unharmed(bench)


def test_a_tag_that_is_no_card_at_all_is_waited_out(bench):
    tag = CardA(UID)
    bench.cashier.key_in(850)
    bench.cashier.wait(TAP)
    bench.cashier.hold(tag)
    bench.terminal.run_ms(3000)
    bench.terminal.take(tag)
    bench.terminal.press("*")
    unharmed(bench)


def test_more_than_there_is_on_the_card(bench):
    bench.cashier.key_in(10_001)
    bench.cashier.wait(TAP)
    bench.cashier.hold(bench.cards[0])
    told(bench.cashier, 303)
    bench.terminal.take(bench.cards[0])
    unharmed(bench)


@pytest.mark.parametrize("amount, code", [(0, 304), (100_001, 305)])
def test_amounts_that_are_none(bench, amount, code):
    bench.terminal.press("%d#" % amount)
    told(bench.cashier, code)
    bench.terminal.press("#**")
    unharmed(bench)


# --- settings


def test_a_terminal_without_a_debit_key(cold):
    keyless = dataclasses.replace(bench_module.share(), debit_keys=())
    provision.install(cold.terminal.partition(wire.SETTINGS), keyless)
    cold.terminal.power_on()
    told(cold.cashier, 703)
    cold.terminal.press("5#")
    assert words(703) in cold.terminal.screen


# --- the server


@contextlib.contextmanager
def serving(play):
    """A listener on loopback that hands each connection to `play(socket)`; yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(60)
                play(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(60)


def another_ca(shop, folder):
    """A server with a certificate of somebody else's."""
    return _over_tls(server_context(pki.Pki(folder)), b"")


def plain_words(shop, folder):
    """A server that knows no TLS."""
    return lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def nonsense(shop, folder):
    """Our server's certificate, but no HTTP."""
    return _over_tls(server_context(shop.office.pki), b"\xff good day " * 200)


def an_error(shop, folder):
    """Our server, out of order."""
    return _over_tls(server_context(shop.office.pki), b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")


def a_forged_answer(shop, folder):
    """Our server, but what it says is signed by nobody."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
    return _over_tls(server_context(shop.office.pki), head % 400 + bytes(400))


def _over_tls(context: ssl.SSLContext, answer):
    def play(connection):
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(4096)
            tls.sendall(answer)

    return play


@pytest.mark.parametrize(
    "server, codes",
    [
        (another_ca, (503,)),
        (plain_words, (503,)),
        (nonsense, (504,)),
        (an_error, (507,)),
        (a_forged_answer, (504, 505)),
    ],
)
def test_a_server_that_is_not_to_be_believed(tmp_path, server, codes):
    shop = DemoShop(1)
    try:
        terminal = shop.terminal
        cashier = Cashier(terminal)
        office = terminal.relay.target
        with serving(server(shop, tmp_path)) as port:
            terminal.relay.target = "127.0.0.1", port
            terminal.power_on()
            assert cashier.sell(shop.cards[0], 850) == PAID_SALE
            seen = cashier.wait(*map(words, codes))
            assert any("uplink %d" % code in line for code in codes for line in terminal.log), seen
            assert cashier.sell(shop.cards[1], 150) == PAID_SALE
        terminal.relay.target = office
        terminal.run_until(lambda: demo.is_synchronous(shop), 1_500_000)
        assert demo.reconcile(shop).differences == []
        assert terminal.printed == ""
    finally:
        shop.close()


def test_a_server_that_says_nothing():
    shop = DemoShop(1)
    try:
        terminal = shop.terminal
        cashier = Cashier(terminal)
        terminal.relay.is_stalled = True
        terminal.power_on()
        assert cashier.sell(shop.cards[0], 850) == PAID_SALE
        cashier.wait(words(502))
        assert cashier.sell(shop.cards[1], 150) == PAID_SALE
        terminal.relay.is_stalled = False
        terminal.run_until(lambda: demo.is_synchronous(shop), 1_500_000)
        assert demo.reconcile(shop).differences == []
    finally:
        shop.close()
