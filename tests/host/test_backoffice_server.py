"""The back office on loopback with real TLS: who may upload, what bad clients cost, what the pages show."""

import atexit
import functools
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import tempfile
import threading
import urllib.parse

import pytest
import trustme
from account_world import AccountTill
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from ledger_world import START, TORN_DONE, Card
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from uploads import NONCE, body, head_only, journal_till, raw_slots

from kassette.codec import authorise, upload
from kassette_host import pki as pki_module
from kassette_host.backoffice import register
from kassette_host.backoffice.accounts import Terms
from kassette_host.backoffice.intake import MAX_BODY
from kassette_host.backoffice.office import BackOffice, Config
from kassette_host.provision import journal_root
from kassette_host.virtual.desfire import DesfireCard, activate

_TERMINAL, _JOURNAL = 0x4B530001, 3
_HANG_S = 60
_NAMES = ("Counter <script>alert(1)</script>", "Fish & <b>Chips</b>")


class Shop:
    """A listening back office with one terminal, which sells to one card."""

    def __init__(self, directory, **options):
        _give_keys(directory)
        settings = {"terminal_port": 0, "page_port": 0, "synchronous": "OFF", "clock": lambda: START} | options
        self.office = BackOffice(Config(directory, "passphrase", **settings))
        self.office.enrol_terminal(_TERMINAL, _JOURNAL, 1, *_NAMES)
        self.till = journal_till(_TERMINAL, _JOURNAL, journal_root(self.office.keys.journal_master, _TERMINAL, 1))
        chip = DesfireCard(bytes([4, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6]))
        card_id = self.office.issuer.issue_card(activate(chip), chip.uid, 50_000)
        with self.office.store.reading() as db:
            self.number = register.card(db, card_id).number
        self.card = Card(card_id, chip.uid, self.number, 50_000)
        self.ports = self.office.start()

    def context(self, terminal=_TERMINAL, versions=(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)):
        """A terminal's TLS: its certificate, and the device CA to know the server by."""
        context = ssl.create_default_context(cafile=self.office.pki.ca_pem)
        context.minimum_version, context.maximum_version = versions
        if terminal is not None:
            _load(context, *self.office.pki.terminal(terminal), self.office.pki.directory)
        return context

    def connect(self, context=None):
        port = self.ports.terminals
        return http.client.HTTPSConnection("localhost", port, timeout=_HANG_S, context=context or self.context())

    def post(self, data, context=None, path="/v1/slots"):
        connection = self.connect(context)
        connection.request("POST", path, data)
        return _read(connection)

    def get(self, path, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports.pages, timeout=_HANG_S)
        connection.request("GET", path, headers=headers)
        return _read(connection)

    def terms(self):
        return json.loads(self.get("/api/ledger")[1])["conservation"]


def _load(context, certificate, key, directory):
    """`load_cert_chain` takes PEM files only."""
    path = directory / "client.pem"
    form = serialization.load_der_private_key(key, None)
    pem = form.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(ssl.DER_cert_to_PEM_cert(certificate).encode() + pem)
    context.load_cert_chain(path)


def _read(connection):
    response = connection.getresponse()
    read = response.status, response.read()
    connection.close()
    return read


@functools.lru_cache(maxsize=1)
def _keys():
    """Keys and certificates, made once: three RSA keys take a second."""
    directory = pathlib.Path(tempfile.mkdtemp())
    BackOffice(Config(directory, "passphrase", synchronous="OFF")).close()
    atexit.register(shutil.rmtree, directory)
    return directory


def _give_keys(directory):
    shutil.copytree(_keys(), directory, ignore=lambda *_: ["books.sqlite"], dirs_exist_ok=True)


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    yield shop
    shop.office.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_terminal_uploads_and_gets_a_signed_acknowledgement(shop, version):
    shop.till.sell(shop.card, 1250)
    data = body(shop.till, raw_slots(shop.till))
    status, answer = shop.post(data, shop.context(versions=(version, version)))
    assert status == 200
    signer = shop.office.keys.signer_modulus
    up_to, tag, time, _ = upload.open_answer(answer, signer, _TERMINAL, _JOURNAL, data[20:36])
    assert (up_to, tag, time) == (2, bytes(shop.till.journal.tag), START)
    shop.till.journal.acknowledge(up_to, tag, time)
    assert shop.terms()["takings"] == 1250


def test_many_uploads_go_over_one_connection(shop):
    connection = shop.connect()
    for serial in (0, 2, 4):
        if serial:
            shop.till.sell(shop.card, 100)
        connection.request(
            "POST", "/v1/slots", body(shop.till, raw_slots(shop.till)) if serial else head_only(shop.till, 0)
        )
        response = connection.getresponse()
        assert response.status == 200 and len(response.read()) == 50 + 256
    connection.close()
    assert shop.terms()["takings"] == 200


def _assert_shut_out(shop, context):
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        shop.post(head_only(shop.till, 0), context)
    with shop.office.store.reading() as db:
        assert db.scalar(register.select(register.terminals.c.last_contact)) is None


def test_without_a_certificate_nobody_gets_in(shop):
    _assert_shut_out(shop, shop.context(terminal=None))


def test_a_certificate_of_another_authority_does_not_get_in(shop):
    context = shop.context(terminal=None)
    trustme.CA().issue_cert(common_name="%08x" % _TERMINAL).configure_cert(context)
    _assert_shut_out(shop, context)


def test_the_servers_own_certificate_does_not_get_in(shop):
    context = shop.context(terminal=None)
    context.load_cert_chain(shop.office.pki.server_pem, shop.office.pki.server_key_pem)
    _assert_shut_out(shop, context)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
def test_an_old_tls_does_not_get_in(shop):
    context = shop.context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    _assert_shut_out(shop, context)


def test_a_terminal_does_not_trust_another_server(shop):
    context = shop.context()
    stranger = ssl.create_default_context()
    trustme.CA().configure_trust(stranger)
    assert context.verify_mode == ssl.CERT_REQUIRED
    with pytest.raises(ssl.SSLCertVerificationError):
        shop.post(head_only(shop.till, 0), stranger)


def test_the_certificate_of_another_terminal_is_refused(shop):
    shop.office.enrol_terminal(0x2B, 1, 1, "other", "shop")
    shop.till.sell(shop.card, 1250)
    status, answer = shop.post(body(shop.till, raw_slots(shop.till)), shop.context(terminal=0x2B))
    assert status == 403 and json.loads(answer)["error"] == "wrong_terminal"
    assert shop.terms()["takings"] == 0


def test_a_certificate_that_names_no_terminal_is_refused(shop):
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = pki_module._leaf(ExtendedKeyUsageOID.CLIENT_AUTH)
    made = shop.office.pki._issue("somebody", key.public_key(), leaf)
    context = shop.context(terminal=None)
    der = serialization.Encoding.DER
    plain = key.private_bytes(der, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _load(context, made.public_bytes(der), plain, shop.office.pki.directory)
    status, answer = shop.post(head_only(shop.till, 0), context)
    assert status == 403 and json.loads(answer)["error"] == "no_terminal"


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "error"),
    [
        ("POST", "/v1/slots", b"", 400, "malformed"),
        ("POST", "/v1/slots", b"nonsense" * 20, 400, "malformed"),
        ("POST", "/v1/slots", bytes(MAX_BODY), 400, "malformed"),
        ("POST", "/v1/slots", bytes(MAX_BODY + 1), 413, "too_large"),
        ("GET", "/v1/slots", None, 405, "no_such_request"),
        ("POST", "/v1/other", b"", 404, "no_such_request"),
        ("POST", "/office/", b"", 404, "no_such_request"),
    ],
)
def test_nonsense_gets_a_coded_refusal(shop, method, path, data, status, error):
    connection = shop.connect()
    try:
        connection.request(method, path, data)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        pass  # refused before all of it was sent; the answer may be there
    answered, text = _read(connection)
    assert answered == status and json.loads(text)["error"] == error


def test_an_endless_body_is_cut_off(shop):
    connection = shop.connect()
    sent = []

    def endless():
        while True:
            sent.append(65_536)
            yield bytes(65_536)

    chunked = {"Transfer-Encoding": "chunked"}
    with pytest.raises((ConnectionError, ssl.SSLError)):
        connection.request("POST", "/v1/slots", endless(), encode_chunked=True, headers=chunked)
    assert sum(sent) < 100 * MAX_BODY, "no more than what lay in buffers"
    connection.close()


def _raw(shop):
    plain = socket.create_connection(("127.0.0.1", shop.ports.terminals), _HANG_S)
    return shop.context().wrap_socket(plain, server_hostname="localhost")


def test_who_dawdles_is_cut_off_and_others_are_served(tmp_path):
    shop = Shop(tmp_path, head_timeout_s=0.4, body_timeout_s=0.4)
    silent, slow_head, slow_body = _raw(shop), _raw(shop), _raw(shop)
    slow_head.sendall(b"POST /v1/slots HTTP/1.1\r\nHost: x\r\n")
    slow_body.sendall(b"POST /v1/slots HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nKU1")
    assert shop.post(head_only(shop.till, 0))[0] == 200
    assert _everything(silent) == b"" and _everything(slow_head) == b""
    assert b"408" in _everything(slow_body).split(b"\r\n")[0]
    second_head = _raw(shop)
    request = b"POST /v1/slots HTTP/1.1\r\nHost: x\r\nContent-Length: 36\r\n\r\n" + head_only(shop.till, 0)
    second_head.sendall(request + b"POST /v1")
    assert _everything(second_head).startswith(b"HTTP/1.1 200"), "the first is answered, the second is never finished"
    shop.office.close()


def _everything(connection):
    """What comes until the other side closes."""
    got = b""
    try:
        while part := connection.recv(65_536):
            got += part
    except (ssl.SSLError, ConnectionError):
        pass
    connection.close()
    return got


@pytest.mark.parametrize("at", [0, 50, 200])
def test_an_upload_that_breaks_off_books_nothing(shop, at):
    shop.till.sell(shop.card, 1250)
    data = body(shop.till, raw_slots(shop.till))
    broken = _raw(shop)
    broken.sendall(b"POST /v1/slots HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(data) + data[:at])
    broken.shutdown(socket.SHUT_RDWR)
    broken.close()
    assert shop.terms()["takings"] == 0
    assert shop.post(data)[0] == 200 and shop.terms()["takings"] == 1250


def test_no_http_at_all_is_no_event(shop, capfd):
    plain = socket.create_connection(("127.0.0.1", shop.ports.terminals), _HANG_S)
    plain.sendall(b"GET / HTTP/1.1\r\n\r\n" + os.urandom(200))
    assert _everything(plain)[:1] in (b"", b"\x15")  # nothing, or a TLS alert
    secret = _raw(shop)
    secret.sendall(b"\x00\xff nonsense\r\n\r\n")
    assert b"400" in _everything(secret)
    _assert_shut_out(shop, shop.context(terminal=None))
    assert shop.post(head_only(shop.till, 0))[0] == 200
    assert capfd.readouterr() == ("", "")


# --- pages


def _busy(shop):
    """Slips of several outcomes, a mismatch, and sales that only a card tells of."""
    sale = shop.till.sell(shop.card, 1250)
    shop.till.decide(shop.till.sell(shop.card, 300, TORN_DONE), "given")
    shop.till.sell(shop.card, 200)
    assert shop.post(body(shop.till, raw_slots(shop.till)))[0] == 200
    other = journal_till(_TERMINAL, _JOURNAL, journal_root(shop.office.keys.journal_master, _TERMINAL, 1))
    other.sell(shop.card, 5)
    assert shop.post(body(other, raw_slots(other)))[0] == 409
    return sale


_PAGES = ("", "terminals", "slips", "slips/4B530001/3/1", "cards", "cards/1", "ledger", "mismatches", "audit")
_API = ("terminals", "slips", "slips/4B530001/3/1", "cards", "cards/1", "ledger", "mismatches", "audit")


def test_every_page_and_its_twin_shows_what_there_is_and_no_card_number(shop):
    _busy(shop)
    for path in ["/office/" + page for page in _PAGES] + ["/api/" + page for page in _API]:
        status, content = shop.get(path)
        assert status == 200, path
        text = content.decode()
        for secret in (str(shop.number), "%x" % shop.number, shop.card.uid.hex(), shop.card.uid.hex().upper()):
            assert secret not in text, (path, secret)
        if path.startswith("/office"):
            assert "<script>alert" not in text and "<b>Chips" not in text, path
            assert not re.search(r"(src|href)=\"(https?:)?//", text), "nothing is loaded from elsewhere"
        else:
            json.loads(text)
    assert "•••• %04d" % (shop.number % 10_000) in shop.get("/office/slips")[1].decode()
    assert "&lt;script&gt;" in shop.get("/office/terminals")[1].decode()


def test_the_twins_say_what_the_books_say(shop):
    _busy(shop)
    (terminal,) = json.loads(shop.get("/api/terminals")[1])
    assert terminal["terminal"] == "4B530001" and terminal["last_contact"] == START
    assert terminal["head_serial"] == terminal["acked_serial"] == shop.till.journal.next_serial - 1
    assert terminal["head_tag"] == bytes(shop.till.journal.tag).hex()
    assert terminal["slips"] == {"committed": 3} and terminal["takings"] == 1750
    slips = json.loads(shop.get("/api/slips?outcome=committed&terminal=4B530001")[1])
    assert [(slip["slip"], slip["amount"]) for slip in slips] == [(3, 200), (2, 300), (1, 1250)]
    assert all(slip["is_final"] for slip in slips)
    assert json.loads(shop.get("/api/slips?outcome=given")[1]) == []
    detail = json.loads(shop.get("/api/slips/4B530001/3/2")[1])
    kinds = [record["kind"] for record in detail["records"]]
    assert kinds == ["intent", "unresolved", "decision", "late commit"]
    assert sum(move["amount"] for one in detail["postings"] for move in one["moves"]) == 0
    (card,) = json.loads(shop.get("/api/cards")[1])
    assert card["balance"] == card["balance_on_card"] == 48_250
    assert [one["kind"] for one in json.loads(shop.get("/api/mismatches")[1])] == ["fork"]
    assert shop.terms()["holds"] is True


@pytest.mark.parametrize(
    "path",
    [
        "slips/4B530001/3/99",
        "slips/nonsense/3/1",
        "slips/-1/3/1",
        "cards/99",
        "cards/" + 5000 * "9",
        "slips/4B530001/3/" + 25 * "9",
        "slips/4B530001/" + 25 * "9" + "/1",
        "slips?terminal=xyz",
        "slips?outcome=<b>",
        "slips?terminal=4B530001F",
    ],
)
def test_what_is_not_there_is_not_found(shop, path):
    status, text = shop.get("/office/" + path)
    assert status == 404 and b"<b>" not in text
    assert shop.get("/api/" + path)[0] == 404


@pytest.mark.parametrize(
    "query", ["offset=-1", "offset=99999999999999999999", "offset=1e9", "card=x", "other=1", "offset=²"]
)
def test_a_strange_query_is_harmless(shop, query):
    assert shop.get("/office/slips?" + urllib.parse.quote(query, "="))[0] == 200


def test_a_page_of_another_name_does_not_reach_the_books(shop):
    assert shop.get("/api/ledger", Host="evil.example")[0] == 400


def test_pages_bear_their_policy(shop):
    connection = http.client.HTTPConnection("127.0.0.1", shop.ports.pages, timeout=_HANG_S)
    connection.request("GET", "/office/")
    response = connection.getresponse()
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    assert response.headers["Cache-Control"] == "no-store"
    connection.close()


def test_a_change_is_told_at_once_inside_the_process_and_to_open_pages(shop):
    heard = []
    forget = shop.office.subscribe(heard.append)
    stream = http.client.HTTPConnection("127.0.0.1", shop.ports.pages, timeout=_HANG_S)
    stream.request("GET", "/api/events")
    lines = stream.getresponse()
    assert lines.readline().startswith(b"retry")
    shop.till.sell(shop.card, 100)
    shop.post(body(shop.till, raw_slots(shop.till)))
    event = {"what": "upload", "terminal": "4B530001", "serial": 2}
    while not (line := lines.readline()).startswith(b"data: "):
        assert line == b"\n"
    assert json.loads(line[6:]) == event and heard == [event]
    forget()
    shop.post(head_only(shop.till, 2))
    assert heard == [event]
    stream.close()


def test_stopping_ends_open_pages_and_every_thread(tmp_path, capfd):
    before = set(threading.enumerate())
    shop = Shop(tmp_path)
    stream = http.client.HTTPConnection("127.0.0.1", shop.ports.pages, timeout=_HANG_S)
    stream.request("GET", "/api/events")
    lines = stream.getresponse()
    lines.readline()
    idle = _raw(shop)
    shop.office.close()
    shop.office.close()
    assert lines.read() in (b"", b"\n")
    assert not shop.office.feed._callbacks, "nobody listens for a page that is gone"
    assert _everything(idle) == b""
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("port")]
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", shop.ports.pages), _HANG_S)
    assert capfd.readouterr() == ("", "")


def test_the_books_are_there_after_a_restart(tmp_path):
    shop = Shop(tmp_path)
    shop.till.sell(shop.card, 1250)
    shop.post(body(shop.till, raw_slots(shop.till)))
    shop.office.close()
    again = BackOffice(Config(tmp_path, "passphrase", terminal_port=0, page_port=0, synchronous="OFF"))
    shop.office, shop.ports = again, again.start()
    shop.till.sell(shop.card, 50)
    assert shop.post(body(shop.till, raw_slots(shop.till, first=3)))[0] == 200
    assert shop.terms()["takings"] == 1300
    again.close()


def test_a_taken_page_port_gives_way_and_a_taken_terminal_port_is_an_error(tmp_path, shop):
    taken = shop.ports.pages
    config = {"page_port": taken, "synchronous": "OFF"}
    _give_keys(tmp_path / "second")
    _give_keys(tmp_path / "third")
    second = BackOffice(Config(tmp_path / "second", "passphrase", terminal_port=0, **config))
    ports = second.start()
    assert taken < ports.pages < taken + 50
    second.close()
    third = BackOffice(Config(tmp_path / "third", "passphrase", terminal_port=shop.ports.terminals, **config))
    with pytest.raises(OSError):
        third.start()
    third.close()


def test_another_applications_routes_come_first_and_ours_can_be_mounted_there(tmp_path):
    async def counter(_request):
        return PlainTextResponse("the counter")

    shop = Shop(tmp_path, routes=(Route("/", counter),))
    assert shop.get("/") == (200, b"the counter") and shop.get("/office/")[0] == 200
    assert {"/office", "/api/ledger"} <= {route.path for route in shop.office.routes()}
    shop.office.close()
    _give_keys(tmp_path / "alone")
    alone = BackOffice(Config(tmp_path / "alone", "passphrase", terminal_port=0, page_port=None, synchronous="OFF"))
    assert alone.start().pages == 0
    alone.close()


def test_a_sale_on_an_account_from_the_question_to_the_books(tmp_path):
    shop = Shop(tmp_path)
    number = "90471100001234569"
    account = shop.office.accounts.open(number, 10_000, Terms(START + 10**8), pin="2468")
    heard = []
    shop.office.subscribe(heard.append)
    till = AccountTill(_TERMINAL, shop.till.journal, shop.office.keys, _JOURNAL)
    serial, slip = till.intend_on(number, 6_000)
    asked = till.question(number, 6_000, serial, slip, pin="2468", nonce=NONCE)
    status, answer = shop.post(asked, path="/v1/authorise")
    modulus = shop.office.keys.signer_modulus
    assert status == 200
    assert authorise.open_answer(answer, modulus, _TERMINAL, _JOURNAL, serial, 6_000, NONCE)[:3] == (0, 4_000, 3)
    assert shop.terms()["authorised"] == 6_000 and heard[-1]["what"] == "authorisation"
    till.commit(serial, slip)
    assert shop.post(body(till, raw_slots(till)))[0] == 200
    terms = shop.terms()
    assert (terms["authorised"], terms["accounts"], terms["takings"], terms["holds"]) == (0, 4_000, 6_000, True)
    told = json.loads(shop.get("/api/accounts/%d" % account)[1])
    assert told["label"] == "•••• 4569" and told["authorisations"][0]["journal_says"] == "committed"
    records = json.loads(shop.get("/api/slips/%08X/%d/%d" % (_TERMINAL, _JOURNAL, slip))[1])["records"]
    assert records[0]["facts"]["entry"] == "stripe" and records[1]["facts"]["approved"] == "online"
    for path in ("/office/accounts", "/office/accounts/%d" % account, "/office/slips", "/office/ledger"):
        status, page = shop.get(path)
        assert (status == 200 and number.encode() not in page and b"4569" in page) or path == "/office/ledger"
    assert shop.get("/office/accounts/99")[0] == shop.get("/api/accounts/x")[0] == 404
    shop.office.close()


def test_the_parts_of_a_split_sale_stand_together_on_the_pages(tmp_path):
    shop = Shop(tmp_path)
    shop.till.sell(shop.card, 1_200, link=(2_000, 0))
    shop.till.sell(shop.card, 800, link=(2_000, 1))
    shop.till.sell(shop.card, 300)
    assert shop.post(body(shop.till, raw_slots(shop.till)))[0] == 200
    page = " ".join(shop.get("/office/slips")[1].decode().split())
    place = "/office/slips/%08X/%d" % (_TERMINAL, _JOURNAL)
    assert page.count("of 20.00") == 2 and "of 20.00, first part<" in page
    assert 'of 20.00, part of slip <a href="%s/1">1</a>' % place in page
    for slip, amount in ((1, "12.00"), (2, "8.00")):
        page = " ".join(shop.get("%s/%d" % (place, slip))[1].decode().split())
        assert "20.00 split over two media" in page and "part of</dt><dd>20.00" in page
        assert all('%s/%d">%d</a> %s' % (place, other, other, of) in page for other, of in ((1, "12.00"), (2, "8.00")))
        told = json.loads(shop.get("/api/slips/%08X/%d/%d" % (_TERMINAL, _JOURNAL, slip))[1])
        assert (told["whole"], told["first_slip"], len(told["parts"])) == (2_000, slip - 1, 2), amount
    assert "split" not in shop.get(place + "/3")[1].decode()
    shop.office.close()


def test_a_question_that_is_none_is_refused(tmp_path):
    shop = Shop(tmp_path)
    till = AccountTill(_TERMINAL, shop.till.journal, shop.office.keys, _JOURNAL)
    asked = till.question("90471100001234569", 100, 1, 1)
    stranger = shop.context(_TERMINAL + 1)
    for data, context, status, word in (
        (asked + b"0", None, 413, "too_large"),
        (asked[:-1], None, 400, "malformed"),
        (asked, stranger, 403, "wrong_terminal"),
    ):
        found, answer = shop.post(data, context, path="/v1/authorise")
        assert (found, json.loads(answer)["error"]) == (status, word)
    shop.office.close()
