"""The shop as a process: it says where it is, it ends without leaving anything behind, it is there once."""

import http.client
import json
import os
import pathlib
import select
import signal
import socket
import urllib.parse

import pytest
from shop_process import HANG_S, ShopProcess, is_alive


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory):
    """A shop that was opened once before."""
    directory = tmp_path_factory.mktemp("state")
    with ShopProcess(directory, "run", "--port", "0") as shop:
        shop.url()
    return directory


def get(url):
    place = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=HANG_S)
    connection.request("GET", place.path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_leaves_no_process(state_dir, number):
    with ShopProcess(state_dir, "run", "--port", "0") as shop:
        assert get(shop.url())[0] == 200
        shop.line("the terminal is on")
        family = shop.family()
        commands = [pathlib.Path("/proc/%d/cmdline" % pid).read_text() for pid in family]
        assert any("micropython" in command for command in commands), "the firmware is a process of its own"
        assert shop.end(number) == 0
        assert not [pid for pid in family if is_alive(pid)]
        assert shop.lines[-1].endswith("closed (%s)" % number.name)


def test_killed_without_warning_it_takes_the_firmware_along(state_dir):
    with ShopProcess(state_dir, "run", "--port", "0") as shop:
        shop.line("the terminal is on")
        family = shop.family()
        assert shop.end(signal.SIGKILL) == -signal.SIGKILL
        for pid in family:
            wait_gone(pid)  # it may take the firmware a moment to find its wire cut
    with ShopProcess(state_dir, "run", "--port", "0") as shop:
        shop.line("the terminal is on")


def wait_gone(pid):
    """Until a process that is nobody's child here has ended."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([watch], [], [], HANG_S)[0], "process %d is still there" % pid
    os.close(watch)


def test_a_second_one_is_refused_and_the_first_goes_on(state_dir):
    with ShopProcess(state_dir, "run", "--port", "0") as first:
        url = first.url()
        second = ShopProcess(state_dir, "run", "--port", "0")
        assert second.process.wait(HANG_S) == 2
        assert second.line(r"open already \(process (\d+)\)")[1] == str(first.process.pid)
        reset = ShopProcess(state_dir, "reset")
        assert reset.process.wait(HANG_S) == 2
        reset.line("open already")
        assert get(url)[0] == 200


def test_a_taken_port_makes_it_take_the_next(state_dir):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with ShopProcess(state_dir, "run", "--port", str(port)) as shop:
            url = shop.url()
            assert port < urllib.parse.urlsplit(url).port <= port + 50
            assert get(url)[0] == 200


def test_a_second_start_makes_nothing_anew_and_reset_forgets(state_dir):
    kept = [*(state_dir / "shop/office").rglob("*.pem"), *(state_dir / "shop/office").glob("keys.json")]
    before = {path: path.read_bytes() for path in kept}
    cards = sorted(path.read_bytes() for path in (state_dir / "shop/cards").iterdir())
    assert len(before) >= 4 and len(cards) == 8
    with ShopProcess(state_dir, "run", "--port", "0") as shop:
        shop.line("the terminal is on")
    assert before == {path: path.read_bytes() for path in kept}
    assert cards == sorted(path.read_bytes() for path in (state_dir / "shop/cards").iterdir())
    reset = ShopProcess(state_dir, "reset")
    assert reset.process.wait(HANG_S) == 0
    assert not (state_dir / "shop").exists()
    with ShopProcess(state_dir, "run", "--port", "0") as shop:
        shop.url()
    told = json.loads((state_dir / "shop/shop.json").read_text())
    assert told["is_keyed"]
    assert before[kept[0]] != kept[0].read_bytes()


def test_secrets_are_readable_by_their_owner_only(state_dir):
    for path in [*(state_dir / "shop/office").rglob("*key*"), *(state_dir / "shop/cards").iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert (state_dir / "shop").stat().st_mode & 0o077 == 0


def test_an_impossible_start_state_is_refused(state_dir):
    shop = ShopProcess(state_dir, "run", "--state", "drunk")
    assert shop.process.wait(HANG_S) == 2


@pytest.mark.parametrize("verb", ["run", "demo"])
def test_a_trace_that_can_not_be_written_is_told_at_once(state_dir, tmp_path, verb):
    shop = ShopProcess(state_dir, verb, "--trace", str(tmp_path / "nowhere/trace.txt"))
    assert shop.process.wait(HANG_S) == 2
    shop.line("No such file")
    assert not any("Traceback" in line for line in shop.lines)


def test_a_reader_that_is_not_there_is_told(state_dir):
    shop = ShopProcess(state_dir, "run", "--port", "0", "--reader", "/dev/nothing")
    assert shop.process.wait(HANG_S) == 2
    shop.line("no reader on /dev/nothing")
    assert not any("Traceback" in line for line in shop.lines)


@pytest.mark.parametrize(
    "arguments",
    [
        "run --port -1",
        "run --port 65536",
        "backoffice --terminal-port 65536",
        "backoffice --page-port -1",
        "heap --size 10",
    ],
)
def test_a_number_that_can_not_be_is_told_before_anything_starts(state_dir, arguments):
    shop = ShopProcess(state_dir, *arguments.split())
    assert shop.end(0) == 2
    shop.line("Invalid value for '--%s'" % arguments.split("--")[1].split()[0])


@pytest.mark.parametrize("verb", ["run", "demo --slips"])
def test_a_folder_that_can_not_be_made_is_told(tmp_path, verb):
    (tmp_path / "file").touch()
    impossible = tmp_path / "file/folder"
    shop = ShopProcess(impossible, *verb.split(), *([str(impossible)] if "--" in verb else []))
    assert shop.end(0) == 2
    shop.line("Not a directory")
    assert not any("Traceback" in line for line in shop.lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_morning_that_is_broken_off_leaves_nothing_behind(tmp_path, monkeypatch, number):
    (tmp_path / "left").mkdir()
    os.mkfifo(tmp_path / "trace")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "left"))
    demo = ShopProcess(tmp_path, "demo", "--trace", str(tmp_path / "trace"))
    with open(tmp_path / "trace", "rb") as trace:
        assert trace.read(1)  # the morning has begun
        family = demo.family()
        assert family and os.listdir(tmp_path / "left")
        demo.process.send_signal(number)
        while trace.read(65536):
            pass
    assert demo.process.wait(HANG_S) == 128 + number
    assert not [pid for pid in family if is_alive(pid)]
    assert not os.listdir(tmp_path / "left") and not any("Traceback" in line for line in demo.lines)
