"""Make an empty journal: when a technician asks for it, never by the firmware itself. (Provisioning does it on the host.)"""

from micropython import const

from kassette.codec.genesis import first_records
from kassette.compat import wipe
from kassette.errors import Fault
from kassette.store.ratchet import KEY_SECTORS

_E_PROGRAM = const(406)
_E_UNSENT = const(414)


def create(flash, root: bytearray, terminal: int, journal_id: int, next_slip: int = 1) -> None:
    """Erase the partition and start the chain of a new `journal_id` from `root`, 16 bytes, which is wiped.

    `next_slip` goes on from the journal before. A power cut on the way leaves what does not mount.
    Raises Fault: 406 what was written reads back different; 407 the first sectors can't be erased.
    """
    for sector in range(flash.size // 4096):
        try:
            flash.erase(sector)
        except Fault:
            if sector in (0, KEY_SECTORS):
                raise
            # a bad sector is found again, and replaced, when it is to be used
    record, header = first_records(root, terminal, journal_id, next_slip)
    wipe(root)
    for at, data in ((KEY_SECTORS * 4096, header), (0, record)):
        flash.program(at, data)
        back = bytearray(len(data))
        flash.read(at, back)
        if back != data:
            raise Fault(_E_PROGRAM, at)
    wipe(record)


def replace(old, root: bytearray, journal_id: int, fold, when: tuple[int, int], typed: int = 0):
    """Start a new journal in the place of `old`, the mounted one, and return it, mounted; for a technician's flow only.

    It must be acknowledged to the last record. Or the technician types how many records he gives up (`typed`), and that
    number is the new journal's first record, so the back office hears of it. The slip numbers go on.
    `fold`: an empty one; `when`: (time, operator). Raises Fault: 406 and 407 as `create`; 414 records that nobody has
    given up (`at`: how many).
    """
    from kassette.codec.records import CONFIG, JOURNAL_REPLACED, PAYLOAD_LEN, pack
    from kassette.store.journal import Journal

    unsent = old.next_serial - 1 - old.acked
    if unsent != typed:
        raise Fault(_E_UNSENT, unsent)
    create(old.flash, root, old.terminal, journal_id, old.fold.next_slip)
    journal = Journal(old.flash, old.terminal, journal_id, fold)
    journal.mount()
    if unsent:
        payload = bytearray(PAYLOAD_LEN)
        pack(CONFIG, payload, when[0], JOURNAL_REPLACED, unsent, when[1])
        journal.append(CONFIG, payload)
    return journal
