"""The simulator's chip: in a file, cut into partitions, alive after its process was killed."""

import signal
import subprocess
import sys

import pytest

from kassette_host import ROOT
from kassette_host.sim.power import PowerCut
from kassette_host.virtual.nor import NorChip, NorMisuse


def test_what_was_written_is_there_when_it_is_opened_again(tmp_path):
    chip = NorChip(8192, tmp_path / "deep/flash.bin")
    chip.program(100, b"\x12\x34")
    chip.erase(1)
    chip.close()
    again = NorChip(8192, tmp_path / "deep/flash.bin")
    assert again.image()[100:102] == b"\x12\x34"
    assert again.erase_counts == [0, 1]


def test_what_was_written_survives_kill_9(tmp_path):
    program = (
        "import sys, time\n"
        "from kassette_host.virtual.nor import NorChip\n"
        "chip = NorChip(4096, %r)\n"
        "chip.program(7, b'kept')\n"
        "print('written', flush=True)\n"
        "sys.stdin.read()\n"
    ) % str(tmp_path / "flash.bin")
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert NorChip(4096, tmp_path / "flash.bin").image()[7:11] == b"kept"


def test_a_file_of_another_size_is_refused(tmp_path):
    NorChip(4096, tmp_path / "flash.bin").close()
    with pytest.raises(ValueError, match="holds 4096 bytes, not 8192"):
        NorChip(8192, tmp_path / "flash.bin")


def test_partitions_are_views_that_end():
    chip = NorChip(16384)
    part = chip.partition(4096, 8192)
    part.program(0, b"\x01")
    part.erase(1)
    assert chip.image()[4096] == 1
    assert chip.erase_counts == [0, 0, 1, 0]
    assert part.is_blank(1, 4095)
    buffer = bytearray(1)
    part.read(0, buffer)
    assert buffer == b"\x01"
    for call in ((part.program, 8191, b"12"), (part.read, 8192, buffer), (part.erase, 2), (part.is_blank, 8000, 200)):
        with pytest.raises(NorMisuse):
            call[0](*call[1:])
    with pytest.raises(NorMisuse):
        chip.partition(100, 4096)


def test_a_cut_is_the_simulators_power_cut():
    chip = NorChip(4096, seed=1)
    chip.cut_at(2, 0)
    with pytest.raises(PowerCut):
        chip.program(0, bytes(128))
    assert chip.image()[:65] == bytes(64) + b"\xff"


def test_a_cut_that_a_hook_orders_may_tear_at_random():
    images = set()
    for seed in range(8):
        chip = NorChip(4096, seed=seed)
        chip.tear = -1

        def plug(kind):
            raise PowerCut(kind, 1)

        chip.on_event = plug
        with pytest.raises(PowerCut):
            chip.program(0, bytes(64))
        images.add(chip.image())
    assert len(images) > 2
