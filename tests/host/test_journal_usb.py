"""The partition of a board, read through its REPL: the real interpreter on a PTY, with an `esp32` of three methods."""

import os
import pty
import subprocess
import termios

import pytest
from click.testing import CliRunner
from journals import ROOT, config, fresh
from tools import MICROPYTHON

from kassette.codec.records import CONFIG
from kassette_host.journal_cli import journal as group
from kassette_host.journal_usb import read_partition

_ESP32 = """
class Partition:
    TYPE_DATA = 1

    def __init__(self, label):
        self._file = open(label, "rb")
        self._label = label

    @classmethod
    def find(cls, kind, label):
        return [cls("{folder}/" + label)]

    def info(self):
        return (1, 0x40, 0x200000, self._file.seek(0, 2), self._label, False)

    def readblocks(self, block, buffer):
        self._file.seek(block * 4096)
        self._file.readinto(buffer)
"""


@pytest.fixture
def board(tmp_path):
    """(port, journal) of a board with forty records."""
    flash, journal = fresh()
    for number in range(40):
        journal.append(CONFIG, config(number))
    (tmp_path / "journal").write_bytes(flash.memory)
    (tmp_path / "esp32.py").write_text(_ESP32.replace("{folder}", str(tmp_path)))
    master, slave = pty.openpty()
    settings = termios.tcgetattr(slave)
    settings[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    process = subprocess.Popen(
        [MICROPYTHON, "-i"], stdin=master, stdout=master, stderr=master, env=os.environ | {"MICROPYPATH": str(tmp_path)},
        start_new_session=True,
    )  # fmt: skip
    yield os.ttyname(slave), flash
    process.kill()
    process.wait()
    os.close(master)
    os.close(slave)


def test_the_partition_comes_over_the_wire(board):
    port, flash = board
    assert read_partition(port) == bytes(flash.memory)


def test_it_is_dumped_like_an_image(board, monkeypatch):
    monkeypatch.setenv("KASSETTE_JOURNAL_ROOT", ROOT.hex())
    done = CliRunner().invoke(group, ["verify", "usb:" + board[0]])
    assert (done.exit_code, done.output) == (0, "records 1 to 40: whole\n")


def test_no_board_is_said_so(monkeypatch):
    monkeypatch.setenv("KASSETTE_JOURNAL_ROOT", ROOT.hex())
    done = CliRunner().invoke(group, ["verify", "usb:/dev/pts/9999"])
    assert done.exit_code == 2
    assert "/dev/pts/9999" in done.output
