"""The rig on serial devices: PTYs in front of the stand-in of an emulator (support/fake_emulator.py), a stand-in of esptool."""

import sys

import pytest
from cables import Cables
from test_rig import FAKE

from kassette_host import ROOT
from kassette_host.rig import target, usb
from kassette_host.rig.chip import ChipGone
from kassette_host.rig.machine import ChipTerminal
from kassette_host.rig.qemu import Qemu
from kassette_host.rig.relay import TcpRelay

_ESPTOOL = ROOT / "tests/support/fake_esptool.py"


@pytest.fixture
def terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("KASSETTE_QEMU", str(FAKE))
    monkeypatch.delenv("KASSETTE_QEMU_ARGS", raising=False)
    (tmp_path / "flash").write_bytes(b"\xff" * 4096)
    cables = Cables(Qemu(tmp_path / "flash"))
    made = ChipTerminal(usb.UsbChip(cables.ports, reset=cables.reset), TcpRelay())
    yield made
    made.close()
    made.chip.close()
    cables.close()


def booted(terminal):
    terminal.power_on()
    terminal.run_until(lambda: terminal.lives)
    return terminal


def test_keys_figures_and_the_reader_over_serial_devices(terminal):
    booted(terminal).press("12#")
    assert terminal.log[-3:] == ["key 1", "key 2", "key #"]
    assert terminal.figures().frames_dropped == 8
    terminal.press("B")
    terminal.run_until(lambda: any(line.startswith("heard") for line in terminal.log))
    assert terminal.plug.kinds["uart"] >= 27 + 6


def test_reset_is_the_plug(terminal):
    booted(terminal).press("A")
    terminal.power_off()
    assert not terminal.is_on
    terminal.power_on()
    terminal.run_until(lambda: terminal.lives == 2)
    assert "boot 41" in terminal.log


def test_the_readers_rate_is_followed(terminal):
    booted(terminal)
    terminal.reader.baud = 230400
    terminal.press("B")
    terminal.run_until(lambda: terminal.chip.lines[2].serial.baudrate == 230400)


def test_a_device_that_is_not_there_or_taken_is_told(terminal, tmp_path):
    with pytest.raises(ChipGone, match="nowhere"):
        usb.UsbChip([str(tmp_path / "nowhere")] * 3).start()
    booted(terminal)
    with pytest.raises(ChipGone, match="pts"):
        usb.UsbLine(terminal.chip.lines[0].serial.port, 115200)


def test_devices_that_are_not_named_have_the_next_numbers():
    assert usb.ports("serial:/dev/ttyUSB3") == ["/dev/ttyUSB3", "/dev/ttyUSB4", "/dev/ttyUSB5"]
    assert usb.ports("serial:/dev/ttyUSB0,/dev/ttyACM9") == ["/dev/ttyUSB0", "/dev/ttyACM9", "/dev/ttyACM10"]
    assert usb.ports("serial:a,b,c") == ["a", "b", "c"]
    for wrong in ("serial:", "serial:/dev/cable", "serial:1,2,3,4"):
        with pytest.raises(ValueError):
            usb.ports(wrong)


def test_a_target_by_its_name(monkeypatch):
    for name in ("KASSETTE_ESP32_IMAGE", "KASSETTE_SSID", "KASSETTE_HOST"):
        monkeypatch.delenv(name, raising=False)
    board = target.parse("serial:/dev/ttyUSB0")
    assert all(name in board.missing() for name in ("KASSETTE_ESP32_IMAGE", "KASSETTE_SSID", "KASSETTE_HOST"))
    for name in ("KASSETTE_ESP32_IMAGE", "KASSETTE_SSID", "KASSETTE_HOST"):
        monkeypatch.setenv(name, "here")
    board = target.parse("serial:/dev/ttyUSB0")
    assert board.missing() == "" and board.network(None, "")[:3] == ("here", "", "here")
    assert board.network("nobody", "key")[:3] == ("nobody", "key", "here")
    with pytest.raises(ValueError, match="renode"):
        target.parse("renode")


# --- flash


@pytest.fixture
def flash(tmp_path):
    """A board's flash of 16 sectors, its copy in the rig, and what esptool was asked to write."""
    board = tmp_path / "board"
    board.write_bytes(b"\xff" * 16 * 4096)
    copy = tmp_path / "copy"
    copy.write_bytes(bytes(range(256)) * 256)
    (tmp_path / "said").write_text("")
    return usb.UsbFlash("/dev/none", copy, (sys.executable, str(_ESPTOOL), str(board))), board, copy, tmp_path / "said"


def test_only_what_changed_is_written_again(flash):
    tool, board, copy, said = flash
    tool.push()
    assert board.read_bytes() == copy.read_bytes()
    assert said.read_text() == "write 0x0 65536\n"
    image = bytearray(copy.read_bytes())
    for at in (4096, 8191, 8192, 65535):
        image[at] ^= 1
    copy.write_bytes(image)
    tool.push()
    assert board.read_bytes() == image
    assert said.read_text().splitlines()[1:] == ["write 0x1000 8192", "write 0xf000 4096"]
    tool.push()
    assert len(said.read_text().splitlines()) == 3
    assert sorted(path.name for path in copy.parent.iterdir()) == ["board", "copy", "said"]


def test_what_the_board_did_is_read_and_not_written_back(flash):
    tool, board, copy, said = flash
    tool.push()
    image = bytearray(board.read_bytes())
    image[5000:5003] = b"new"
    board.write_bytes(image)
    tool.pull(4096, 4096)
    assert copy.read_bytes() == image
    tool.push()
    assert len(said.read_text().splitlines()) == 1 and board.read_bytes() == image


def test_an_esptool_that_finds_no_board_is_told(flash):
    tool, *_ = flash
    with pytest.raises(ChipGone, match="no board here"):
        tool._run("chip-id")
