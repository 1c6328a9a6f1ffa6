"""Make an empty journal: when a technician asks for it, never by the firmware itself. (Provisioning does it on the host.)"""

from kassette.codec.genesis import first_records
from kassette.compat import wipe
from kassette.errors import Fault
from kassette.store.ratchet import KEY_SECTORS


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
            raise Fault(406, at)
    wipe(record)
