"""The firmware's journal and its twin, written from journal.md on other cryptography, byte for byte after every step."""

import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator

import pytest
from journals import JOURNAL_ID, TERMINAL, mounted
from journals import ROOT as KEY
from tools import MICROPYTHON
from twin_days import live

from kassette_host import ROOT, journal, twin

_STEPS = 200


def compare(lines: Iterator[str], seed: int) -> int:
    """Let the twin do what the lines say; the number of steps that came out the same."""
    other = twin.Twin((11 + seed % 3) * 4096, KEY, TERMINAL, JOURNAL_ID)
    other.mount()
    steps = 0
    for line in lines:
        what, digest = line.split("|")
        words = what.split()
        if words[0] == "append":
            other.append(int(words[1]), bytes.fromhex(words[2]))
        elif words[0] == "acknowledge":
            other.acknowledge(*map(int, words[1:]))
        else:
            getattr(other, words[0])()
        assert hashlib.sha256(other.image).hexdigest() == digest, "seed %d, step %d: %s" % (seed, steps, what)
        steps += 1
    return steps


def micropython_days(first: int, seeds: int) -> Iterator[tuple[int, list[str]]]:
    command = [MICROPYTHON, "-X", "heapsize=4m", "tests/support/twin_days.py", str(first), str(seeds), str(_STEPS)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    seed, lines = None, []
    for line in process.stdout:
        if line.startswith("seed "):
            if seed is not None:
                yield seed, lines
            seed, lines = int(line.split()[1]), []
        else:
            lines.append(line.strip())
    assert process.wait() == 0 and seed is not None, lines[-5:]
    yield seed, lines


def test_sequences_on_cpython():
    for seed in range(900, 912):
        lines = []
        live(seed, _STEPS, lines.append)
        assert compare(iter(lines), seed) >= _STEPS * 3 // 4


def test_sequences_on_micropython():
    for seed, lines in micropython_days(1, 8):
        assert compare(iter(lines), seed) >= _STEPS * 3 // 4


def test_a_difference_is_found():
    lines = []
    live(3, 60, lines.append)
    digests = [line.split("|")[1] for line in lines]
    taken = [i for i in range(20, 60) if lines[i].startswith("append 2 ") and digests[i] != digests[i - 1]]
    number = taken[0]
    kind, payload = lines[number][:9], lines[number][9:]
    lines[number] = kind + ("00" if payload[:2] != "00" else "01") + payload[2:]
    with pytest.raises(AssertionError, match=r"seed 3, step %d" % number):
        compare(iter(lines), 3)


def test_both_readers_read_the_same_image():
    from cuts import World

    world = World(5)
    for _ in range(300):
        world.step()
    image = bytes(world.flash.memory)
    ours = [
        (e.serial, e.kind, e.clock_trusted, e.payload, e.tag)
        for e in journal.read_image(image, KEY, TERMINAL, JOURNAL_ID)
    ]
    theirs = [tuple(record) for record in twin.read(image, KEY, TERMINAL, JOURNAL_ID)]
    assert ours == theirs
    assert len(ours) > 60


def test_the_firmware_reads_what_the_twin_wrote():
    other = twin.Twin(12 * 4096, KEY, TERMINAL, JOURNAL_ID)
    dice = random.Random(1)
    for _ in range(100):
        assert other.append(11, dice.randbytes(96))
    from ram_nor import RamNor

    read, _ = mounted(RamNor(image=other.image))
    assert read.next_serial == 101
    assert read.tag == other.tag


def test_the_twin_reads_through_a_cut():
    from cuts import World
    from ram_nor import PowerCut

    world = World(6)
    for _ in range(150):
        world.step()
    serial = world.journal.next_serial
    world.flash.cut_at(1, 3)
    with pytest.raises(PowerCut):
        while True:
            world.step()
    records = list(twin.read(bytes(world.flash.memory), KEY, TERMINAL, JOURNAL_ID))
    assert records[-1].serial >= serial - 1


def test_the_twin_shares_nothing_with_the_firmware():
    source = (ROOT / "host_tools/kassette_host/twin.py").read_text()
    assert "import kassette" not in source
    assert "from kassette" not in source


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_thousand_sequences_of_200_steps():
    steps = done = 0
    for seed, lines in micropython_days(1000, 1000):
        steps += compare(iter(lines), seed)
        done += 1
        sys.stderr.write("\rmodel against twin: %d of 1000 sequences, %d steps" % (done, steps))
    print("\nmodel against twin: %d sequences, %d steps, flash byte-equal after each" % (done, steps))
    assert done == 1000
