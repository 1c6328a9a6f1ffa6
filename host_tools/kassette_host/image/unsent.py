"""How many records of a journal nobody has acknowledged, by the flash alone: the key record opens the newest sector."""

from struct import unpack_from

from kassette.codec import keyrecord, records, slot
from kassette.codec.kdf import terminal_key
from kassette_host.image import ImageError
from kassette_host.journal import KEY_SECTORS

_SECTOR = 4096


def unsent(partition: bytes) -> int:
    """Records without a durable acknowledgement in the bytes of a journal's partition; 0 for a blank one.

    Acknowledgements are written seldom: it may be fewer. Their own records do not count. Raises ImageError("journal-unreadable").
    """
    if partition == b"\xff" * len(partition):
        return 0
    record = _key_record(partition)
    page = _newest_sector(partition)
    if not record or not page:
        raise ImageError("journal-unreadable", "the journal can't be read: nobody can tell what is unsent in it")
    terminal = unpack_from("<I", record, 36)[0]
    keys = {record[33]: record[16:32]}
    after = record[33] + 1 & 0xFF
    keys[after] = terminal_key(record[16:32], keyrecord.ENC_LABEL, terminal, after)
    last = acked = 0
    own: list[int] = []
    plain = bytearray(slot.SLOT_LEN)
    for at in range(0, _SECTOR, slot.SLOT_LEN):
        raw = page[at : at + slot.SLOT_LEN]
        if not slot.is_whole(raw):
            continue
        kind = raw[1] & ~records.CLOCK_UNTRUSTED
        serial = unpack_from("<I", raw, 8)[0]
        last = serial if kind not in (records.HEADER, records.SNAPSHOT) else max(last, serial - 1)
        if raw[3] not in keys:
            acked = max(acked, last)  # a batch whose key is gone was acknowledged before
            continue
        slot.reveal(raw, plain, keys[raw[3]])
        if kind == records.HEADER:
            acked = max(acked, unpack_from("<I", plain, 16 + 48)[0])
        elif kind == records.ACK:
            acked = max(acked, records.unpack(records.ACK, bytes(plain[16:112]))[1])
            own.append(serial)
    return last - acked - sum(serial > acked for serial in own)


def _key_record(partition: bytes) -> bytes | None:
    places = range(0, KEY_SECTORS * _SECTOR, 64)
    valid = [partition[at : at + 64] for at in places if keyrecord.is_valid(partition[at : at + 64])]
    return max(valid, key=lambda record: unpack_from("<I", record, 40)[0], default=None)


def _newest_sector(partition: bytes) -> bytes | None:
    pages = [partition[at : at + _SECTOR] for at in range(KEY_SECTORS * _SECTOR, len(partition), _SECTOR)]
    headed = [page for page in pages if slot.is_whole(page[: slot.SLOT_LEN]) and page[1] == records.HEADER]
    return max(headed, key=lambda page: unpack_from("<I", page, 4)[0], default=None)
