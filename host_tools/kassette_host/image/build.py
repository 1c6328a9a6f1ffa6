"""One terminal's flash from a stock image: table, settings, empty journal, program, file system. Seconds, no chip."""

from typing import NamedTuple

from littlefs import LittleFS, LittleFSError

from kassette_host import bundle, journal, provision
from kassette_host.image import ImageError, stock
from kassette_host.image.partitions import JOURNAL_LEN, KEPT, SECTOR, TABLE_AT, Table, layout, pack, parse
from kassette_host.image.unsent import unsent
from kassette_host.virtual.nor_array import NorArray, NorPartition

BOARD = "esp32_bench"
_LITTLEFS_2_0 = 0x00020000  # what MicroPython v1.24 writes; a newer minor version would not be mounted


class Network(NamedTuple):
    """What `network.txt` tells the board: the radio's name and key, the back office's numeric address, how many stripe heads."""

    ssid: str
    key: str
    address: str
    heads: str = ""

    def text(self) -> bytes:
        """The file."""
        return "\n".join((*self, "")).encode()


def files(network: Network) -> dict[str, bytes]:
    """What the board's file system holds: path -> content."""
    return {**bundle.boot_files(BOARD), "network.txt": network.text()}


def build(
    base: stock.Stock,
    share: provision.TerminalShare,
    program: bytes,
    content: dict[str, bytes],
    journal_len: int = JOURNAL_LEN,
    keep: bytes | None = None,
) -> bytes:
    """The whole flash. `program` goes into slot A, `content` (path -> bytes) into the file system.

    `keep`: what lies in the chip now. Settings and journal stay as they are there when the table does not move them;
    else the journal has to be acknowledged to the last record. Raises ImageError.
    """
    table = layout(len(base.flash), journal_len)
    chip = NorArray(bytearray(base.flash))
    chip.memory[table["settings"].offset :] = b"\xff" * (len(chip.memory) - table["settings"].offset)
    chip.memory[TABLE_AT : TABLE_AT + SECTOR] = pack(table)
    if not (keep and _take_over(chip, table, stock.whole(keep))):
        provision.install(_flash(chip, table, "settings"), share)
        journal.format(_flash(chip, table, "journal"), share.journal_root, share.terminal, share.journal_id)
    if len(program) > table["bundle_a"].size:
        raise ImageError("too-large", "the program has %d bytes, its slot %d" % (len(program), table["bundle_a"].size))
    _flash(chip, table, "bundle_a").program(0, program)
    _flash(chip, table, "vfs").program(0, file_system(content, table["vfs"].size))
    return bytes(chip.memory)


def _flash(chip: NorArray, table: Table, label: str) -> NorPartition:
    return NorPartition(chip, table[label].offset, table[label].size)


def _take_over(chip: NorArray, table: Table, old: bytes) -> bool:
    """Copy settings and journal of the flash `old` to where they were; False when there are none to be kept."""
    before = parse(old)
    if "journal" not in before:
        return False
    if any(before.get(label) != table[label] for label in KEPT):
        lost = unsent(before["journal"].of(old))
        if lost:
            raise ImageError(
                "journal-cut", "the new table would cut into a journal with %d unacknowledged records" % lost
            )
        return False
    for label in KEPT:
        chip.memory[table[label].offset : table[label].end] = table[label].of(old)
    return True


def file_system(files: dict[str, bytes], size: int) -> bytes:
    """A LittleFS of `size` bytes with `files`, as MicroPython mounts it. Raises ImageError("too-large")."""
    fs = LittleFS(block_size=SECTOR, block_count=size // SECTOR, disk_version=_LITTLEFS_2_0)
    try:
        for path, content in files.items():
            folder = path.strip("/").rpartition("/")[0]
            if folder:
                fs.makedirs(folder, exist_ok=True)
            with fs.open(path, "wb") as file:
                file.write(content)
    except LittleFSError:
        raise ImageError("too-large", "the files do not fit the file system's %d bytes" % size)
    return bytes(fs.context.buffer)


def read_file_system(partition: bytes) -> dict[str, bytes]:
    """Path -> content of every file. Raises ImageError("damaged")."""
    fs = LittleFS(block_size=SECTOR, block_count=len(partition) // SECTOR, mount=False)
    fs.context.buffer = bytearray(partition)
    found = {}
    try:
        fs.mount()
        for folder, _, names in fs.walk("/"):
            for name in names:
                with fs.open(folder.rstrip("/") + "/" + name, "rb") as file:
                    found[folder.rstrip("/") + "/" + name] = file.read()
    except LittleFSError:
        raise ImageError("damaged", "the file system can't be read")
    return found
