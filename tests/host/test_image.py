"""The flash image: what esptool, mp-image-tool-esp32 and littlefs-python say of it, and what is refused."""

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import stock_image
from click.testing import CliRunner
from journals import JOURNAL_ID, TERMINAL, fresh, sell
from littlefs import LittleFS
from ram_nor import RamNor

from kassette.store.journal import Journal
from kassette.store.settings import Settings
from kassette.store.till import Till
from kassette_host import journal
from kassette_host.image import ImageError, partitions, stock
from kassette_host.image.build import build, file_system, read_file_system
from kassette_host.image.commands import image as group
from kassette_host.image.inspect import inspect
from kassette_host.image.unsent import unsent
from kassette_host.sim.bench import share

_FILES = {"/main.py": b"print(1)\n", "/shared/bundle_vfs.mpy": b"M\x06\0\x1f" * 99, "/network.txt": b"a\nb\nc\n"}
_PROGRAM = b"KSB1" + bytes(1000)
_REAL = os.environ.get("KASSETTE_ESP32_IMAGE")


@pytest.fixture(scope="module", params=["built here", "MicroPython's own"] if _REAL else ["built here"])
def stock_file(request):
    return stock_image.stock() if request.param == "built here" else pathlib.Path(_REAL).read_bytes()


@pytest.fixture(scope="module")
def flash(stock_file):
    return build(stock.check(stock_file), share(), _PROGRAM, _FILES)


def tool(*words):
    command = [pathlib.Path(sys.executable).parent / words[0], *map(str, words[1:])]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def refusal(make, *arguments, **named):
    with pytest.raises(ImageError) as caught:
        make(*arguments, **named)
    return caught.value.code


def place(flash, label):
    return partitions.parse(flash)[label]


class Part:
    """One partition of a flash as the firmware's `hal.Flash`."""

    def __new__(cls, flash, label):
        data = place(flash, label).of(flash)
        chip = RamNor(len(data) // 4096)
        chip.memory[:] = data
        return chip


# --- seen by programs that nobody here wrote


def test_esptool_finds_bootloader_and_program_whole(flash, tmp_path):
    for name, at in (("boot", 0x1000), ("app", 0x10000)):
        path = tmp_path / name
        path.write_bytes(flash[at:] if at == 0x1000 else flash[at:0x200000])
        said = tool("esptool", "image-info", path).stdout
        assert "Detected image type: ESP32" in said and re.search(r"Checksum: 0x\w+ \(valid\)", said), said
        assert re.search(r"Validation hash: \w+ \(valid\)", said), said


def test_esptool_merges_the_parts_to_the_same_flash(flash, tmp_path):
    words = []
    for at in (0x1000, 0x8000, *(p.offset for p in partitions.parse(flash).values())):
        part = tmp_path / ("%06x" % at)
        end = 0x8000 if at == 0x1000 else 0x9000 if at == 0x8000 else None
        part.write_bytes(flash[at:end] if end else partition_at(flash, at).of(flash))
        words += [hex(at), part]
    merged = tmp_path / "merged"
    done = tool("esptool", "--chip", "esp32", "merge-bin", "-o", merged, "--pad-to-size", "4MB", *words)
    assert merged.read_bytes() == flash, done.stdout


def partition_at(flash, offset):
    (found,) = [p for p in partitions.parse(flash).values() if p.offset == offset]
    return found


def test_another_tool_reads_the_same_table(flash, tmp_path):
    path = tmp_path / "image.bin"
    path.write_bytes(flash[0x1000:])
    said = tool("mp-image-tool-esp32", path).stdout
    rows = re.findall(r"│ (\w+) +│ (app|data) +│ +(\w+) +│ +(0x\w+) │ +(0x\w+) │", said)
    assert [(name, int(at, 16), int(size, 16)) for name, _, _, at, size in rows] == [
        (p.label, p.offset, p.size) for p in partitions.parse(flash).values()
    ]


def test_littlefs_reads_the_files_back_and_goes_on_writing(flash):
    data = place(flash, "vfs").of(flash)
    fs = LittleFS(block_size=4096, block_count=len(data) // 4096, mount=False)
    fs.context.buffer = bytearray(data)
    fs.mount()
    assert fs.fs_stat().disk_version == 0x00020000
    for path, content in _FILES.items():
        with fs.open(path, "rb") as file:
            assert file.read() == content
    with fs.open("/more.txt", "wb") as file:
        file.write(b"x" * 10_000)
    assert read_file_system(bytes(fs.context.buffer)) == {**_FILES, "/more.txt": b"x" * 10_000}


# --- what the firmware finds


def test_the_firmware_finds_settings_journal_and_program(flash):
    settings = Settings(Part(flash, "settings"))
    settings.load()
    assert settings.terminal == share().terminal and settings.client_key == share().client_key
    book = Journal(Part(flash, "journal"), settings.terminal, settings.journal_id, Till())
    book.mount()
    assert book.next_serial == 1
    assert place(flash, "bundle_a").of(flash).startswith(_PROGRAM)
    assert set(place(flash, "bundle_b").of(flash)) == set(place(flash, "ratchet").of(flash)) == {0xFF}


def test_the_stock_part_is_as_it_was(flash, stock_file):
    assert flash[0x1000:0x8000] == stock_file[:0x7000]
    assert flash[0x10000 : 0x1000 + len(stock_file)] == stock_file[0xF000:]
    assert len(flash) == 4 << 20


def test_the_journals_root_is_nowhere(flash):
    assert share().journal_root not in flash


# --- a chip that is in use


def used(flash, sales):
    """The flash of a terminal that has sold, offline."""
    chip = Part(flash, "journal")
    book = Journal(chip, share().terminal, share().journal_id, Till())
    book.mount()
    for slip in range(1, sales + 1):
        sell(book, slip)
    where = place(flash, "journal")
    return flash[: where.offset] + bytes(chip.memory) + flash[where.end :], book


def test_a_new_program_keeps_settings_and_journal(flash, stock_file):
    old, book = used(flash, 40)
    other = dataclasses.replace(share(), shop_name_ascii="ANOTHER")
    new = build(stock.check(stock_file), other, b"KSB1 new", _FILES, keep=old[0x1000:])
    for label in ("settings", "journal", "ratchet"):
        assert place(new, label).of(new) == place(old, label).of(old)
    assert unsent(place(new, "journal").of(new)) == book.next_serial - 1 == 80


@pytest.mark.parametrize("journal_len", [512 * 1024, 64 * 4096])
def test_a_table_that_would_cut_into_unsent_records_is_refused(flash, stock_file, journal_len):
    old, book = used(flash, 40)
    base = stock.check(stock_file)
    with pytest.raises(ImageError, match="80 unacknowledged") as caught:
        build(base, share(), _PROGRAM, _FILES, journal_len, old)
    assert caught.value.code == "journal-cut"
    acknowledge(book)
    where = place(old, "journal")
    old = old[: where.offset] + bytes(book.flash.memory) + old[where.end :]
    new = build(base, share(), _PROGRAM, _FILES, journal_len, old)
    assert place(new, "journal").size == journal_len
    assert unsent(place(new, "journal").of(new)) == 0


def acknowledge(book):
    scope = share().journal_root, book.terminal, share().journal_id
    newest = list(journal.read_image(bytes(book.flash.memory), *scope))[-1]
    book.acknowledge(newest.serial, newest.tag, 1_790_000_999, durable=True)


def test_a_journal_that_nobody_can_read_is_not_cut_either(flash, stock_file):
    where = place(flash, "journal")
    old = flash[: where.offset] + bytes(4096 * 3) + flash[where.offset + 4096 * 3 :]
    arguments = (stock.check(stock_file), share(), _PROGRAM, _FILES, 64 * 4096, old)
    assert refusal(build, *arguments) == "journal-unreadable"


def test_a_chip_with_the_stock_firmware_has_nothing_to_keep(flash, stock_file):
    assert build(stock.check(stock_file), share(), _PROGRAM, _FILES, keep=stock_file) == flash


def test_unsent_records_are_counted_as_the_firmware_counts_them():
    flash, book = fresh(sectors=40)
    sector = None  # of the newest acknowledgement's own record, which counts only from elsewhere
    assert unsent(bytes(flash.memory)) == 0
    for slip in range(1, 200):
        sell(book, slip)
        assert unsent(bytes(flash.memory)) == book.next_serial - 1 - book.durable - (sector == book.sector)
        if slip % 50 == 0:
            entries = list(journal.read_image(bytes(flash.memory), b"root of journal!", TERMINAL, JOURNAL_ID))
            entry = entries[-7]
            book.acknowledge(entry.serial, entry.tag, 1_790_000_000, durable=True)
            assert book.durable == entry.serial
            sector = book.sector


# --- bad input


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


BAD = {
    "an empty file": (lambda: b"", "no-image"),
    "a text": (lambda: b"hello" * 9999, "no-image"),
    "an image of the S3": (lambda: stock_image.app(chip=9).ljust(99_999, b"\xff"), "wrong-chip"),
    "an image of the C3": (lambda: stock_image.app(chip=5).ljust(99_999, b"\xff"), "wrong-chip"),
    "a program for the S3": (lambda: stock_image.stock(stock_image.app(chip=9)), "wrong-chip"),
    "a download that ended early": (lambda: stock_image.stock()[:-40], "damaged"),
    "a flipped bit in the program": (lambda: flipped(stock_image.stock(), 0xF030), "damaged"),
    "a flipped bit in the hash": (lambda: flipped(stock_image.stock(), len(stock_image.stock()) - 1), "damaged"),
    "a flipped bit in the bootloader": (lambda: flipped(stock_image.stock(), 0x22), "damaged"),
    "a flipped bit in the table": (lambda: flipped(stock_image.stock(), 0x7000 + 20), "damaged"),
    "another program": (lambda: stock_image.stock(stock_image.app(b"Tasmota")), "no-micropython"),
    "an older version": (lambda: stock_image.stock(stock_image.app(b"MicroPython v1.23.0 on 2024")), "wrong-version"),
    "a newer version": (lambda: stock_image.stock(stock_image.app(b"MicroPython v1.240.0 on x")), "wrong-version"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_stock_image_is_refused(name):
    make, code = BAD[name]
    assert refusal(stock.check, make()) == code


def test_too_small_a_flash():
    assert refusal(stock.check, stock_image.stock(boot=stock_image.app(b"boot", size=1))) == "small-flash"
    base = stock.check(stock_image.stock())
    assert refusal(build, base, share(), _PROGRAM, _FILES, 2 << 20) == "small-flash"


def test_what_does_not_fit():
    base = stock.check(stock_image.stock())
    assert refusal(build, base, share(), bytes(192 * 1024 + 1), _FILES) == "too-large"
    assert refusal(build, base, share(), _PROGRAM, {"/x": bytes(300_000)}) == "too-large"
    assert refusal(file_system, {"/x": bytes(9000)}, 8192) == "too-large"


# --- the command


@pytest.fixture
def run(tmp_path):
    def call(*words):
        words = [str(tmp_path / word) if (tmp_path / word).exists() or word == "out" else word for word in words]
        return CliRunner().invoke(group, words)

    (tmp_path / "stock").write_bytes(stock_image.stock())
    (tmp_path / "text").write_bytes(b"nothing of the kind")
    (tmp_path / "s3").write_bytes(stock_image.app(chip=9).ljust(0x9000, b"\xff"))
    return call


def test_inspect_says_what_is_there(run, tmp_path, flash):
    (tmp_path / "flash").write_bytes(used(flash, 3)[0])
    done = run("inspect", "flash", "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    holds = {p["label"]: p["holds"] for p in found["partitions"]}
    assert holds["settings"] == "terminal 4B530001" and holds["journal"] == "6 records unacknowledged"
    assert holds["factory"] == "MicroPython 1.24.0" and holds["bundle_b"] == "blank" and holds["bundle_a"] == "damaged"
    assert found["files"] == {path: len(content) for path, content in _FILES.items()}
    assert "terminal 4B530001" in run("inspect", "flash").stdout


@pytest.mark.parametrize("file, code, status", [("text", "no-image", 7), ("s3", "wrong-chip", 6)])
def test_a_refusal_is_a_code_on_stderr_and_a_status(run, tmp_path, file, code, status):
    done = run("build", "out", "--stock", file)
    assert done.exit_code == status and done.stderr.startswith(code + ": ") and not done.stdout
    done = run("build", "out", "--stock", file, "--json")
    assert done.exit_code == status and json.loads(done.stdout)["error"]["code"] == code
    assert not (tmp_path / "out").exists()


def test_inspect_refuses_what_is_no_flash(run):
    assert run("inspect", "text").exit_code == 7
    assert inspect(stock_image.stock())["flash"] == 4 << 20


def test_build_writes_what_inspect_finds_whole(run, tmp_path):
    done = run(
        "build", "out", "--stock", "stock", "--ssid", "Shop", "--server", "10.0.0.2", "--stripe-heads", "2", "--json"
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"file": str(tmp_path / "out"), "bytes": (4 << 20) - 0x1000, "at": 0x1000}
    found = inspect((tmp_path / "out").read_bytes())
    holds = {p["label"]: p["holds"] for p in found["partitions"]}
    assert holds["bundle_a"].startswith("whole") and holds["journal"] == "0 records unacknowledged"
    flash = stock.whole((tmp_path / "out").read_bytes())
    assert read_file_system(place(flash, "vfs").of(flash))["/network.txt"] == b"Shop\n\n10.0.0.2\n2\n"
