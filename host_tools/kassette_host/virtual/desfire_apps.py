"""Card and application management of the virtual DESFire card. Source: libfreefare and its tests."""

from kassette_host.cards.ev1_crypto import ENCIPHERED, MACED, PLAIN
from kassette_host.virtual.desfire_card import (
    AUTHENTICATION,
    LENGTH,
    NO_SUCH_KEY,
    OUT_OF_MEMORY,
    PICC,
    Answer,
    Application,
    DesfireCard,
    command,
)
from kassette_host.virtual.desfire_files import (
    CYCLIC,
    FREE,
    LINEAR,
    NEVER,
    PARAMETER_ERROR,
    PERMISSION_DENIED,
    BackupFile,
    CardFile,
    DataFile,
    RecordFile,
    Refused,
    ValueFile,
)

APPLICATION_NOT_FOUND, FILE_NOT_FOUND, DUPLICATE, COUNT_ERROR = 0xA0, 0xF0, 0xDE, 0xCE

_HARDWARE = bytes.fromhex("04010101001805")  # NXP, DESFire EV1, 4 kB, ISO 14443-2 and -3
_SOFTWARE = bytes.fromhex("04010101041805")
_BATCH_AND_DATE = bytes.fromhex("BA5410EC404926")  # batch, production week and year (BCD)
_BLOCKS = 4864 // 32  # what a 4 kB card has: it holds an NDEF file of 4096 bytes beside its other files
_MOST_APPLICATIONS, _MOST_FILES = 28, 32


@command(0x60, 0)
def get_version(card: DesfireCard, body: bytes) -> Answer:
    """Hardware, software, then UID, batch and date, in three frames."""
    return Answer(_HARDWARE + _SOFTWARE + card.uid + _BATCH_AND_DATE, cuts=(7, 7))


@command(0x51, 0)
def get_card_uid(card: DesfireCard, body: bytes) -> Answer:
    """The real UID, enciphered, under any key."""
    card.demand(card.session is not None)
    return Answer(card.uid, ENCIPHERED)


def _free_blocks(card: DesfireCard) -> int:
    used = sum(1 + sum(f.blocks() for f in one.files.values()) for one in card.applications.values())
    return _BLOCKS - used


@command(0x6E, 0)
def free_memory(card: DesfireCard, body: bytes) -> Answer:
    """Bytes that are left, u24."""
    return Answer((32 * _free_blocks(card)).to_bytes(3, "little"))


def _may_list(card: DesfireCard) -> None:
    card.demand(card.selected.settings & 2 != 0 or card.is_master())


def _may_create(card: DesfireCard) -> None:
    card.demand(card.selected.settings & 4 != 0 or card.is_master())


def _on_picc(card: DesfireCard) -> None:
    card.demand(card.aid == PICC, PERMISSION_DENIED)


def _in_application(card: DesfireCard) -> None:
    card.demand(card.aid != PICC, PERMISSION_DENIED)


@command(0x6A, 0)
def get_application_ids(card: DesfireCard, body: bytes) -> Answer:
    """The AIDs, three bytes each."""
    _on_picc(card)
    _may_list(card)
    return Answer(b"".join(sorted(card.applications)))


@command(0x6D, 0)
def get_df_names(card: DesfireCard, body: bytes) -> Answer:
    """One frame for each application that has an ISO name."""
    _on_picc(card)
    _may_list(card)
    parts = [
        aid + one.iso_id.to_bytes(2, "little") + one.name for aid, one in sorted(card.applications.items()) if one.name
    ]
    return Answer(b"".join(parts), is_bare=True, cuts=tuple(len(part) for part in parts))


@command(0x5A, 3)
def select_application(card: DesfireCard, body: bytes) -> Answer:
    """`AID`; the session ends, pending changes are forgotten."""
    card.demand(body == PICC or body in card.applications, APPLICATION_NOT_FOUND)
    card.select(body)
    return Answer(is_bare=True)


@command(0xCA, 5, *range(7, 24))
def create_application(card: DesfireCard, body: bytes) -> Answer:
    """`AID | key settings | number of keys and kind | ISO file id, name`."""
    _on_picc(card)
    _may_create(card)
    aid, settings, keys = body[:3], body[3], body[4]
    card.demand(1 <= keys & 15 <= 14 and keys & 0xC0 != 0xC0 and aid != PICC, PARAMETER_ERROR)
    card.demand(aid not in card.applications, DUPLICATE)
    card.demand(len(card.applications) < _MOST_APPLICATIONS, COUNT_ERROR)
    card.demand(_free_blocks(card) > 0, OUT_OF_MEMORY)
    iso_id = int.from_bytes(body[5:7], "little")
    card.applications[aid] = Application(keys & 0xC0, settings, keys & 15, iso_id, body[7:])
    return Answer()


@command(0xDA, 3)
def delete_application(card: DesfireCard, body: bytes) -> Answer:
    """`AID`, under the card's master key or, for the selected one, its own."""
    card.demand(body in card.applications, APPLICATION_NOT_FOUND)
    card.demand(card.is_master())
    if card.aid == PICC:
        del card.applications[body]
        return Answer()
    card.demand(body == card.aid)
    card.select(PICC)
    del card.applications[body]
    return Answer(is_bare=True)


@command(0xFC, 0)
def format_picc(card: DesfireCard, body: bytes) -> Answer:
    """Forget all applications, under the card's master key."""
    _on_picc(card)
    card.demand(card.is_master())
    card.applications.clear()
    return Answer()


# --- files of an application


@command(0x6F, 0)
def get_file_ids(card: DesfireCard, body: bytes) -> Answer:
    """The numbers of the files."""
    _in_application(card)
    _may_list(card)
    return Answer(bytes(sorted(card.selected.files)))


@command(0x61, 0)
def get_iso_file_ids(card: DesfireCard, body: bytes) -> Answer:
    """The ISO names of the files that have one, u16 each."""
    _in_application(card)
    _may_list(card)
    files = [file for _, file in sorted(card.selected.files.items()) if file.iso_id]
    return Answer(b"".join(file.iso_id.to_bytes(2, "little") for file in files))


@command(0xF5, 1)
def get_file_settings(card: DesfireCard, body: bytes) -> Answer:
    """`file`: kind, mode, rights, and what its kind adds."""
    _in_application(card)
    _may_list(card)
    return Answer(find(card, body[0]).settings())


def find(card: DesfireCard, number: int) -> CardFile:
    """A file of the selected application. Raises Refused(F0)."""
    file = card.selected.files.get(number)
    if file is None or card.aid == PICC:
        raise Refused(FILE_NOT_FOUND)
    return file


def _check_rights(card: DesfireCard, comm: int, rights: int) -> None:
    card.demand(comm in (PLAIN, MACED, ENCIPHERED), PARAMETER_ERROR)
    for shift in (0, 4, 8, 12):
        key = rights >> shift & 15
        card.demand(key < len(card.selected.keys) or key in (FREE, NEVER), NO_SUCH_KEY)


def _create(card: DesfireCard, number: int, comm: int, rights: int, make) -> Answer:
    _in_application(card)
    _may_create(card)
    card.demand(number < _MOST_FILES, PARAMETER_ERROR)
    card.demand(number not in card.selected.files, DUPLICATE)
    _check_rights(card, comm, rights)
    file = make()
    card.demand(file.blocks() <= _free_blocks(card), OUT_OF_MEMORY)
    card.selected.files[number] = file
    return Answer()


def _head(body: bytes, plain_len: int) -> tuple[int, int, int, int, bytes]:
    """File number, ISO id, mode, rights and the rest of a Create...File command."""
    iso_id = 0
    if len(body) == plain_len + 2:
        iso_id = int.from_bytes(body[1:3], "little")
        body = body[:1] + body[3:]
    return body[0], iso_id, body[1], int.from_bytes(body[2:4], "little"), body[4:]


def _create_data(card: DesfireCard, body: bytes, kind: type[DataFile]) -> Answer:
    number, iso_id, comm, rights, rest = _head(body, 7)
    size = int.from_bytes(rest, "little")
    card.demand(size > 0, PARAMETER_ERROR)
    card.demand(size <= 32 * _BLOCKS, OUT_OF_MEMORY)
    return _create(card, number, comm, rights, lambda: kind(comm, rights, size, iso_id))


@command(0xCD, 7, 9)
def create_std_data_file(card: DesfireCard, body: bytes) -> Answer:
    """`file | ISO id if any | mode | rights | size u24`"""
    return _create_data(card, body, DataFile)


@command(0xCB, 7, 9)
def create_backup_data_file(card: DesfireCard, body: bytes) -> Answer:
    """`file | ISO id if any | mode | rights | size u24`"""
    return _create_data(card, body, BackupFile)


@command(0xCC, 17)
def create_value_file(card: DesfireCard, body: bytes) -> Answer:
    """`file | mode | rights | lower i32 | upper i32 | value i32 | options`"""
    number, _, comm, rights, rest = _head(body, 17)
    lower, upper, value = (int.from_bytes(rest[at : at + 4], "little", signed=True) for at in (0, 4, 8))
    card.demand(lower <= value <= upper and rest[12] <= 3, PARAMETER_ERROR)
    return _create(card, number, comm, rights, lambda: ValueFile(comm, rights, lower, upper, value, rest[12]))


def _create_records(card: DesfireCard, body: bytes, kind: int) -> Answer:
    number, iso_id, comm, rights, rest = _head(body, 10)
    size, most = int.from_bytes(rest[:3], "little"), int.from_bytes(rest[3:], "little")
    card.demand(size > 0 and most > (kind == CYCLIC), PARAMETER_ERROR)
    card.demand(size * most <= 32 * _BLOCKS, OUT_OF_MEMORY)
    return _create(card, number, comm, rights, lambda: RecordFile(kind, comm, rights, size, most, iso_id))


@command(0xC1, 10, 12)
def create_linear_record_file(card: DesfireCard, body: bytes) -> Answer:
    """`file | ISO id if any | mode | rights | record size u24 | records u24`"""
    return _create_records(card, body, LINEAR)


@command(0xC0, 10, 12)
def create_cyclic_record_file(card: DesfireCard, body: bytes) -> Answer:
    """`file | ISO id if any | mode | rights | record size u24 | records u24`"""
    return _create_records(card, body, CYCLIC)


@command(0xDF, 1)
def delete_file(card: DesfireCard, body: bytes) -> Answer:
    """`file`; its memory is free at once, where a real card needs FormatPICC."""
    _in_application(card)
    _may_create(card)
    find(card, body[0])
    del card.selected.files[body[0]]
    return Answer()


def _settings_len(card: DesfireCard, body: bytes) -> int:
    """Whole length of ChangeFileSettings: in clear when the change right is free, else a cryptogram."""
    card.demand(len(body) > 1, LENGTH)
    (key,) = find(card, body[0]).keys("change")
    if key == FREE:
        return 4
    card.demand(key != NEVER, PERMISSION_DENIED)
    session = card.session
    if session is None or session.key_no != key:
        raise Refused(AUTHENTICATION)
    return 1 + session.payload_len(ENCIPHERED, 3)


@command(0x5F, payload=_settings_len)
def change_file_settings(card: DesfireCard, body: bytes) -> Answer:
    """`file | mode | rights`, the last two enciphered unless the change right is free."""
    file, session = find(card, body[0]), card.session
    settings = body[1:]
    if file.keys("change") == [FREE]:
        if session:
            session.note_command(b"\x5f" + body)
    elif session:
        settings = session.check_plain(b"\x5f" + body[:1], session.decipher(settings), 3)
    comm, rights = settings[0], int.from_bytes(settings[1:], "little")
    _check_rights(card, comm, rights)
    file.comm, file.rights = comm, rights
    return Answer()
