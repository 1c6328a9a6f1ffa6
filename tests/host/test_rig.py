"""The rig itself, against an emulator of its own (tests/support/fake_emulator.py): lines, monitor, plug, relay, console."""

import pathlib
import socket
import subprocess
import sys
import threading

import pytest

from kassette_host.rig.chip import ChipGone
from kassette_host.rig.machine import ChipTerminal
from kassette_host.rig.qemu import Qemu
from kassette_host.rig.relay import TcpRelay
from kassette_host.sim.power import PowerCut

FAKE = pathlib.Path(__file__).parents[1] / "support/fake_emulator.py"


@pytest.fixture
def terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("KASSETTE_QEMU", str(FAKE))
    monkeypatch.delenv("KASSETTE_QEMU_ARGS", raising=False)
    (tmp_path / "flash").write_bytes(b"\xff" * 4096)
    made = ChipTerminal(Qemu(tmp_path / "flash"), TcpRelay())
    yield made
    made.close()
    made.chip.close()


def booted(terminal):
    terminal.power_on()
    terminal.run_until(lambda: terminal.lives)
    return terminal


def test_it_boots_when_time_begins_and_says_hello_behind_garbage(terminal):
    terminal.power_on()
    assert terminal.lives == 0 and not terminal.log
    terminal.run_until(lambda: terminal.lives)
    assert terminal.log == ["boot ff"]


def test_keys_reach_it_one_by_one(terminal):
    booted(terminal).press("12#")
    assert terminal.log[1:] == ["key 1", "key 2", "key #"]


def test_between_two_calls_it_stands_still(terminal):
    booted(terminal)
    terminal.panel.press("A")
    for _ in range(3):
        terminal.chip.hold()  # an answer of the monitor: it has looked at all that came before
    assert terminal.chip.flash_file.read_bytes()[0] == 0xFF
    terminal.run_until(lambda: "key A" in terminal.log)
    assert terminal.chip.flash_file.read_bytes()[0] == ord("A")


def test_the_reader_answers_and_its_bytes_are_events(terminal):
    booted(terminal).press("B")
    terminal.run_until(lambda: any(line.startswith("heard") for line in terminal.log))
    heard = "".join(line.removeprefix("heard ") for line in terminal.log if line.startswith("heard"))
    assert heard.startswith("0000ff00ff00")
    assert terminal.plug.kinds["uart"] >= 27 + 6


def test_the_plug_is_pulled_at_an_event_and_the_flash_stays(terminal):
    booted(terminal).press("A")
    terminal.plug.cut_after(5)
    with pytest.raises(PowerCut):
        terminal.press("B")
    assert not terminal.is_on
    terminal.power_on()
    terminal.run_until(lambda: terminal.lives == 2)
    assert "boot 41" in terminal.log


def test_figures_come_when_asked_for(terminal):
    figures = booted(terminal).figures()
    assert figures.heap_live == 1 and figures.frames_dropped == 8


def test_a_reset_of_its_own_is_another_life(terminal):
    booted(terminal).press("D")
    assert terminal.lives == 2


def test_a_chip_that_dies_is_told_with_its_last_lines(terminal):
    booted(terminal)
    with pytest.raises(ChipGone, match="key C"):
        terminal.press("C")
    assert not terminal.is_on


def test_what_never_happens_ends_with_screen_and_log(terminal):
    booted(terminal)
    with pytest.raises(TimeoutError, match="boot ff"):
        terminal.run_until(lambda: False, limit_ms=10)


def test_an_emulator_that_does_not_start_says_why(terminal, monkeypatch):
    monkeypatch.setenv("KASSETTE_QEMU_ARGS", "-broken")
    with pytest.raises(ChipGone, match="no such machine"):
        terminal.power_on()


def test_a_command_that_the_monitor_refuses_is_an_error(terminal):
    with pytest.raises(RuntimeError, match="no such device"):
        booted(terminal).chip.set_network(False)


def test_the_console_is_lent_over_tcp_and_comes_back(terminal):
    booted(terminal)
    script = "import socket; s = socket.create_connection(('127.0.0.1', %d)); s.sendall(b'ping'); print(s.recv(99))"
    asking = subprocess.Popen(
        [sys.executable, "-c", script % terminal.console.lend()], stdout=subprocess.PIPE, text=True
    )
    terminal.run_until(lambda: asking.poll() is not None)
    assert "heard 70696e67" in asking.communicate()[0]
    terminal.console.take_back()
    terminal.press("4")
    assert terminal.log[-1] == "key 4"


# --- the relay


@pytest.fixture
def server():
    """An echo on TCP; `connections` counts."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                end, _ = listener.accept()
            except OSError:
                return
            while data := end.recv(4096):
                end.sendall(data)
            end.close()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()
    listener.close()


def through(terminal, data):
    """What comes back for `data` sent by the relay; None when the connection was ended."""
    end = socket.create_connection(("127.0.0.1", terminal.relay.port))
    end.setblocking(False)
    end.sendall(data)
    got = []

    def has_answer():
        try:
            got.append(end.recv(4096))
        except BlockingIOError:
            pass
        except OSError:
            got.append(b"")
        return got

    try:
        terminal.run_until(has_answer, limit_ms=200)
    except TimeoutError:
        return "silence"
    finally:
        end.close()
    return got[0] or None


def test_the_relay_carries_both_ways_and_plays_outages(terminal, server):
    booted(terminal)
    terminal.relay.target = server
    assert through(terminal, b"hello") == b"hello"
    assert terminal.relay.moved == [5, 5]
    terminal.relay.is_up = False
    with pytest.raises(ConnectionRefusedError):
        through(terminal, b"hello")
    terminal.relay.is_up = True
    terminal.relay.is_stalled = True
    assert through(terminal, b"hello") == "silence"
    terminal.relay.is_stalled = False
    assert through(terminal, b"again") == b"again"
    terminal.relay.target = ("127.0.0.1", 1)
    assert through(terminal, b"nobody") is None
