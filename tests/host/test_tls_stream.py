"""`shared.tls_stream` on the real interpreter against CPython's TLS: each way to fail ends in its code."""

import contextlib
import datetime
import socket
import ssl
import subprocess
import threading

import pytest
from tools import MICROPYTHON

from kassette_host import ROOT, pki

_HANG_S = 60


class Shop:
    """A directory of certificates, and a terminal's three DER files in it."""

    def __init__(self, folder):
        self.folder = folder
        self.pki = pki.Pki(folder)
        certificate, key = self.pki.terminal(42)
        for name, data in (("server_ca", self.pki.ca_der), ("client_cert", certificate), ("client_key", key)):
            (folder / (name + ".der")).write_bytes(data)

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pki.server_pem, self.pki.server_key_pem)
        context.load_verify_locations(self.pki.ca_pem)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return Shop(tmp_path_factory.mktemp("shop"))


@contextlib.contextmanager
def serving(play):
    """A listener on loopback whose first connection is handed to `play(socket)` in a thread; yields (port, results)."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # a large write does not fit at once
    results = []

    def run():
        connection, _ = listener.accept()
        connection.settimeout(_HANG_S)
        with connection:
            try:
                results.append(play(connection))
            except OSError as error:
                results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield listener.getsockname()[1], results
    listener.close()
    thread.join(_HANG_S)


def probe(shop, port, *steps, host=pki.SERVER_NAME):
    command = [
        MICROPYTHON,
        "-X",
        "heapsize=32m",
        "tests/support/tls_probe.py",
        str(port),
        str(shop.folder),
        host,
        *steps,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_HANG_S)
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, turns, files = done.stdout.splitlines()
    assert files == "files 0"
    return lines, int(turns.split()[1])


def over_tls(shop, play, context=None):
    def run(connection):
        with (context or shop.context()).wrap_socket(connection, server_side=True) as tls:
            return play(tls)

    return run


def answer(tls):
    got = tls.recv(1000)
    tls.sendall(b"good day")
    return got, tls.getpeercert(), tls.version()


def test_a_whole_exchange(shop):
    with serving(over_tls(shop, answer)) as (port, results):
        assert probe(shop, port, "write", "read", "read")[0] == ["read b'good day'", "read b''", "closed"]
    got, certificate, version = results[0]
    assert got == b"hello"
    assert certificate["subject"] == ((("commonName", "0000002a"),),)
    assert version == "TLSv1.2"


def test_a_large_write_arrives_whole(shop):
    def count(tls):
        got = 0
        while got < 6_000_000:
            got += len(tls.recv(16))  # slower than the terminal: its write does not go through at once
        tls.sendall(b"all")
        return got

    with serving(over_tls(shop, count)) as (port, results):
        assert probe(shop, port, "flood", "read")[0] == ["read b'all'", "closed"]
    assert results == [6_000_000]


def test_the_server_is_of_another_ca(shop, tmp_path):
    with serving(over_tls(shop, answer, Shop(tmp_path).context())) as (port, results):
        assert probe(shop, port, "write")[0] == ["fault 503 0"]
    assert isinstance(results[0], OSError)


@pytest.mark.parametrize("host", ["kassette-backoffice.example", "127.0.0.2"])
def test_the_server_has_another_name(shop, host):
    with serving(over_tls(shop, answer)) as (port, _):
        assert probe(shop, port, "write", host=host)[0] == ["fault 503 0"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_servers_other_names(shop, host):
    with serving(over_tls(shop, answer)) as (port, _):
        assert probe(shop, port, "write", "read", host=host)[0] == ["read b'good day'", "closed"]


def test_the_server_does_not_know_the_terminals_ca(shop, tmp_path):
    stranger = Shop(tmp_path)
    context = shop.context()
    (tmp_path / "server_ca.der").write_bytes(shop.pki.ca_der)
    with serving(over_tls(shop, answer, context)) as (port, results):
        [line], _ = probe(stranger, port, "write")
    assert line.startswith("fault 503 ")
    assert isinstance(results[0], ssl.SSLError)


def test_a_certificate_without_its_key_is_no_identity(shop, tmp_path):
    Shop(tmp_path)
    (tmp_path / "client_key.der").write_bytes(b"\x30\x00")
    broken = Shop.__new__(Shop)
    broken.folder = tmp_path
    nobody = 9  # it does not come to a connection
    [line], _ = probe(broken, nobody, "write")
    assert line.startswith("fault 503 ")


@pytest.mark.parametrize("dates", [(2040, 2049), (2020, 2021)])
def test_the_servers_certificate_is_not_valid_now(shop, monkeypatch, tmp_path, dates):
    first, last = dates
    monkeypatch.setattr(pki, "VALID_FROM", datetime.datetime(first, 1, 1, tzinfo=datetime.UTC))
    monkeypatch.setattr(pki, "VALID_TO", datetime.datetime(last, 1, 1, tzinfo=datetime.UTC))
    off = Shop(tmp_path)
    with serving(over_tls(off, answer)) as (port, _):
        assert probe(off, port, "write")[0] == ["fault 503 0"]


def test_the_server_wants_tls_1_3(shop):
    context = shop.context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with serving(over_tls(shop, answer, context)) as (port, _):
        [line], _ = probe(shop, port, "write")
    assert line.startswith("fault 503 -")


def test_nobody_listens(shop):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    [line], _ = probe(shop, port, "write")
    assert line.startswith("fault 502 ")


def test_the_server_is_silent_in_the_handshake_and_nobody_polls(shop):
    with serving(lambda connection: connection.recv(1000) and connection.recv(1)) as (port, results):
        lines, turns = probe(shop, port, "WRITE")
    assert lines == ["fault 502 0"]
    assert turns < 30
    assert results == [b""]


def test_the_server_stops_in_mid_handshake(shop):
    def half(connection):
        connection.recv(1000)
        connection.sendall(bytes.fromhex("16030300400200003c0303"))
        return connection.recv(1)

    with serving(half) as (port, results):
        assert probe(shop, port, "WRITE")[0] == ["fault 502 0"]
    assert results == [b""]


@pytest.mark.parametrize("words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x03\xff\xff" + bytes(100), b""])
def test_the_server_speaks_something_else_or_hangs_up(shop, words):
    def other(connection):
        connection.recv(1000)
        connection.sendall(words)

    with serving(other) as (port, _):
        [line], _ = probe(shop, port, "write")
    assert line.startswith("fault 503 ")


def test_half_an_answer_and_then_nothing(shop):
    def half(tls):
        tls.recv(1000)
        tls.sendall(b"good")
        return tls.recv(1)

    with serving(over_tls(shop, half)) as (port, _):
        lines, turns = probe(shop, port, "write", "read", "READ")
    assert lines == ["read b'good'", "fault 502 0"]
    assert turns < 60


def test_the_connection_is_reset_instead_of_an_answer(shop):
    def reset(tls):
        tls.recv(1000)
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with serving(over_tls(shop, reset)) as (port, _):
        assert probe(shop, port, "write", "read")[0] == ["fault 502 104"]


def test_the_way_there_swallows_everything(shop):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as queue:
        for _ in range(4):  # more than the queue holds: from here on the kernel drops the SYN
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        lines, turns = probe(shop, listener.getsockname()[1], "WRITE")
    assert lines == ["fault 502 0"]
    assert turns < 30


def test_a_handshake_is_abandoned_between_two_flights(shop):
    with serving(lambda connection: connection.recv(1000) and connection.recv(1)) as (port, results):
        assert probe(shop, port, "abandon")[0] == ["abandoned", "closed"]
    assert results == [b""]
