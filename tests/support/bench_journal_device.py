"""On the MicroPython interpreter: the journal, VfsLfs2 with append + sync, and one file per record, on one counted flash.

Started by kassette_host.bench_journal: micropython bench_journal_device.py WHAT NUMBER; prints one JSON object.
"""

import gc
import json
import sys

import micropython
from nor_array import NorArray

from kassette.codec import cmac as cmac_module
from kassette.codec import records
from kassette.codec import slot as slot_module
from kassette.errors import Fault
from kassette.store import format as formatter
from kassette.store.journal import Journal
from kassette.store.till import Till

_SECTOR = 4096
_RECORD = 96
_TIME = 1_790_000_000


class Plain:
    """Flash that costs next to nothing: for heap and instructions."""

    def __init__(self, image):
        self._memory = image
        self._blank = b"\xff" * _SECTOR
        self.size = len(image)

    def read(self, at, buffer):
        buffer[:] = memoryview(self._memory)[at : at + len(buffer)]

    def program(self, at, data):
        self._memory[at : at + len(data)] = data

    def erase(self, sector):
        self._memory[sector * _SECTOR : (sector + 1) * _SECTOR] = self._blank

    def is_blank(self, at, length):
        return memoryview(self._memory)[at : at + length] == memoryview(self._blank)[:length]


class Counted:
    """The block device that the file systems see, on the same NOR model."""

    def __init__(self, sectors):
        self.nor = NorArray(bytearray(b"\xff" * _SECTOR * sectors))

    def readblocks(self, block, buffer, offset=0):
        self.nor.read(block * _SECTOR + offset, buffer)

    def writeblocks(self, block, buffer, offset=0):
        self.nor.program(block * _SECTOR + offset, buffer)

    def ioctl(self, op, argument):
        if op == 4:
            return self.nor.size // _SECTOR
        if op == 5:
            return _SECTOR
        if op == 6:
            self.nor.erase(argument)
            return 0


def figures(nor, before, records_done):
    names = ("bytes_programmed", "programs", "erases", "bytes_read", "reads")
    return {name: (getattr(nor, name) - before[name]) / records_done for name in names}


def counters(nor):
    return {name: getattr(nor, name) for name in ("bytes_programmed", "programs", "erases", "bytes_read", "reads")}


def config(number):
    payload = bytearray(_RECORD)
    records.pack(records.CONFIG, payload, _TIME + number, 1, number, 0)
    return payload


def fresh(sectors):
    nor = NorArray(bytearray(b"\xff" * _SECTOR * sectors))
    formatter.create(nor, bytearray(b"root of journal!"), 1, 1)
    journal = Journal(nor, 1, 1, Till())
    journal.mount()
    return nor, journal


def plain():
    """A journal on plain flash, some records in."""
    nor, journal = fresh(16)
    for number in range(3):
        journal.append(records.CONFIG, config(number))
    journal = Journal(Plain(nor.memory), 1, 1, Till())
    journal.mount()
    journal.append(records.CONFIG, config(3))
    return journal


def bench_journal(count):
    """Idle and an answer of the back office after every ten records, an acknowledgement record for 64."""
    nor, journal = fresh(64)
    for number in range(200):
        journal.append(records.CONFIG, config(number))
    before = counters(nor)
    first = journal.next_serial
    on_path = worst = 0
    written = 0
    while written < count:
        erases, programmed = nor.erases, nor.bytes_programmed
        journal.append(records.CONFIG, config(written))
        on_path += nor.erases - erases
        worst = max(worst, nor.bytes_programmed - programmed)
        written += 1
        serial, tag = journal.next_serial - 1, bytes(journal.tag)
        journal.prepare()
        if written % 10 == 0:
            journal.acknowledge(serial, tag, _TIME)
    out = figures(nor, before, journal.next_serial - first)
    out["payload_factor"] = (nor.bytes_programmed - before["bytes_programmed"]) / (written * _RECORD)
    out["erases_on_path"] = on_path
    out["worst_append_bytes"] = worst
    out.update(calls_per_append())
    return out


def calls_per_append():
    """CMACs and AES objects of one append in the middle of a sector, and the heap that it needs."""
    _, journal = fresh(16)
    payload = config(1)
    for _ in range(3):
        journal.append(records.CONFIG, payload)
    calls = [0, 0, 0]
    mac, aes, slot_aes = cmac_module.Cmac.mac, cmac_module.aes, slot_module.aes

    def counted_mac(self, data, iv=bytes(16), size=1):
        calls[0] += 1
        return mac(self, data, iv, size)

    def counted_aes(*given):
        calls[1] += 1
        return aes(*given)

    def counted_slot_aes(*given):
        calls[2] += 1
        return slot_aes(*given)

    cmac_module.Cmac.mac, cmac_module.aes, slot_module.aes = counted_mac, counted_aes, counted_slot_aes
    journal.append(records.CONFIG, payload)
    cmac_module.Cmac.mac, cmac_module.aes, slot_module.aes = mac, aes, slot_aes
    journal = plain()
    total = micropython.mem_total()
    journal.append(records.CONFIG, payload)
    churn = micropython.mem_total() - total
    return {"macs": calls[0], "aes_passes": calls[1] + calls[2], "heap_churn": churn}


def bench_lfs(count, single_file):
    import vfs

    device = Counted(64 if single_file else 256)
    vfs.VfsLfs2.mkfs(device, progsize=32, readsize=32, lookahead=32)
    fs = vfs.VfsLfs2(device, progsize=32, readsize=32, lookahead=32)
    vfs.mount(fs, "/lfs")
    payload = bytes(config(1))
    if not single_file:
        import os

        os.mkdir("/lfs/r")
    nor = device.nor
    before = counters(nor)
    worst = 0
    for number in range(count):
        programmed = nor.bytes_programmed
        with open("/lfs/log" if single_file else "/lfs/r/%d" % number, "ab") as file:
            file.write(payload)
        worst = max(worst, nor.bytes_programmed - programmed)
    out = figures(nor, before, count)
    out["payload_factor"] = (nor.bytes_programmed - before["bytes_programmed"]) / (count * _RECORD)
    out["erases_on_path"] = nor.erases - before["erases"]
    out["worst_append_bytes"] = worst
    vfs.umount("/lfs")
    return out


def bench_mount(sectors):
    """A journal of that size, gone round once with everything acknowledged and half full again."""
    nor, journal = fresh(sectors)
    capacity = (sectors - 7) * 31
    number = 0
    while number < capacity // 2 and number < 4000:
        journal.append(records.CONFIG, config(number))
        number += 1
    gc.collect()
    calls = [0]
    mac = cmac_module.Cmac.mac

    def counted_mac(self, data, iv=bytes(16), size=1):
        calls[0] += 1
        return mac(self, data, iv, size)

    cmac_module.Cmac.mac = counted_mac
    before = counters(nor)
    gc.collect()
    free = gc.mem_alloc()
    again = Journal(nor, 1, 1, Till())
    again.mount()
    gc.collect()
    out = figures(nor, before, 1)
    out["macs"] = calls[0]
    out["heap"] = gc.mem_alloc() - free
    out["records"] = number
    assert again.next_serial == journal.next_serial
    return out


def bench_capacity(sectors):
    """Offline sales of two records until the journal refuses."""
    _, journal = fresh(sectors)
    intent = bytearray(_RECORD)
    outcome = bytearray(_RECORD)
    slip = 0
    try:
        while True:
            slip += 1
            values = (_TIME, slip, 1, 250, 156, b"1234567", 1, 0, 0, 0, 1, 5000, 1, b"", _TIME, 1, 0, 1, 0, 0)
            records.pack(records.INTENT, intent, *values)
            serial = journal.append(records.INTENT, intent)
            records.pack(records.COMMITTED, outcome, _TIME, serial, slip, 4750, 2, 0, b"")
            journal.append(records.COMMITTED, outcome)
    except Fault as fault:
        assert fault.code == 401, fault.code
    return {"sales": slip - 1, "records": journal.next_serial - 1}


def bench_instructions(count):
    """Appends between the two marks that callgrind counts from and to."""
    journal = plain()
    payload = config(1)
    micropython.stack_use()
    for _ in range(count):
        journal.append(records.CONFIG, payload)
    micropython.mem_total()
    return {"appends": count}


if __name__ == "__main__":
    what, number = sys.argv[1], int(sys.argv[2])
    if what in ("append-sync", "file-per-record"):
        found = bench_lfs(number, what == "append-sync")
    else:
        found = {
            "journal": bench_journal,
            "mount": bench_mount,
            "capacity": bench_capacity,
            "instructions": bench_instructions,
        }[what](number)
    print(json.dumps(found))
