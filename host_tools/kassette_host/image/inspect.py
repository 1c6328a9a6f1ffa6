"""What is in a flash image, as far as it says so without a key."""

from kassette.codec import settings
from kassette.errors import Fault
from kassette_host import bundle
from kassette_host.image import ImageError, stock
from kassette_host.image.build import read_file_system
from kassette_host.image.partitions import Table, parse
from kassette_host.image.unsent import unsent


def inspect(data: bytes) -> dict:
    """A file's or a chip's contents for `--json`. Raises ImageError: nothing of an ESP32 is there, or its table is damaged."""
    flash = stock.whole(data)
    boot = flash[stock.BOOT_AT :]
    table = parse(flash)
    found = {
        "flash": stock.flash_len(boot),
        "bootloader": _say(lambda: "whole, %d bytes" % stock.image_len(boot, "bootloader")),
        "partitions": [{**p._asdict(), "holds": _holds(flash, table, p.label)} for p in table.values()],
    }
    if "vfs" in table and "settings" in table:
        found["files"] = {path: len(file) for path, file in read_file_system(table["vfs"].of(flash)).items()}
    return found


def _holds(flash: bytes, table: Table, label: str) -> str:
    data = table[label].of(flash)
    if data == b"\xff" * len(data):
        return "blank"
    reader = _READERS.get(label)
    return _say(lambda: reader(data)) if reader else ""


def _say(read) -> str:
    try:
        return read()
    except ImageError as error:
        return str(error)


def _program(data: bytes) -> str:
    return "MicroPython " + stock.version(data[: stock.image_len(data, "program")])


def _bundle(data: bytes) -> str:
    length = bundle.length_of(data)
    return "whole, %d bytes" % length if length else "damaged"


def _settings(data: bytes) -> str:
    for at in (0, settings.SECTOR_LEN):
        copy = data[at : at + settings.SECTOR_LEN]
        try:
            _, length = settings.check(copy)
            for tag, place, size in settings.entries(copy, length):
                if settings.FIELDS[tag] == "terminal":
                    return "terminal %08X" % int.from_bytes(copy[place : place + size], "little")
        except Fault:
            continue
    return "damaged"


def _journal(data: bytes) -> str:
    return "%d records unacknowledged" % unsent(data)


_READERS = {
    "factory": _program,
    "bundle_a": _bundle,
    "bundle_b": _bundle,
    "settings": _settings,
    "journal": _journal,
}
