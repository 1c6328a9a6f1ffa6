"""The files of the virtual DESFire card: data, backup, value and record files with their mirror.

Whatever a transaction changes is written beside the valid data; `commit` makes it valid in one step, `abort` and a loss
of power forget it. Source: the file model of MF3ICD81 as libfreefare and the product's design.md section 3 use it.
"""

from kassette_host.cards.ev1_crypto import PLAIN

STANDARD, BACKUP, VALUE, LINEAR, CYCLIC = 0, 1, 2, 3, 4
FREE, NEVER = 0xE, 0xF

BOUNDARY_ERROR = 0xBE
PERMISSION_DENIED = 0x9D
PARAMETER_ERROR = 0x9E


class Refused(Exception):
    """The card answers with this error status; the session is gone afterwards."""

    def __init__(self, status: int):
        super().__init__("%02X" % status)
        self.status = status


class CardFile:
    """What all files share. `rights` is the 16-bit word of the card: read, write, read-write and change key numbers."""

    kind = STANDARD

    def __init__(self, comm: int, rights: int, iso_id: int = 0):
        self.comm = comm
        self.rights = rights
        self.iso_id = iso_id

    def keys(self, *names: str) -> list[int]:
        """Key numbers of the named rights, of r, w, rw, change."""
        at = {"r": 12, "w": 8, "rw": 4, "change": 0}
        return [self.rights >> at[name] & 15 for name in names]

    def settings(self) -> bytes:
        """The answer to GetFileSettings."""
        return bytes([self.kind, self.comm]) + self.rights.to_bytes(2, "little") + self._details()

    def _details(self) -> bytes:
        raise AssertionError("each kind of file has its own")

    def commit(self) -> bool:
        """Make the pending changes valid; whether there were any."""
        return False

    def abort(self) -> bool:
        return False

    def blocks(self) -> int:
        """Memory it takes, in blocks of 32 bytes."""
        return 1

    def to_state(self) -> dict:
        return {"kind": self.kind, "comm": self.comm, "rights": self.rights, "iso_id": self.iso_id}


class DataFile(CardFile):
    def __init__(self, comm: int, rights: int, size: int, iso_id: int = 0, data: bytes = b""):
        super().__init__(comm, rights, iso_id)
        self.data = bytearray(data or bytes(size))

    def _details(self) -> bytes:
        return len(self.data).to_bytes(3, "little")

    def read(self, at: int, length: int) -> bytes:
        length = length or len(self.data) - at
        self._check(at, length)
        return bytes(self.data[at : at + length])

    def write(self, at: int, data: bytes) -> None:
        self._target()[at : at + len(data)] = data

    def check_write(self, at: int, length: int) -> None:
        self._check(at, length)

    def _check(self, at: int, length: int) -> None:
        if length <= 0 or at + length > len(self.data):
            raise Refused(BOUNDARY_ERROR)

    def _target(self) -> bytearray:
        return self.data

    def blocks(self) -> int:
        return -(-len(self.data) // 32)

    def to_state(self) -> dict:
        return super().to_state() | {"data": self.data.hex()}


class BackupFile(DataFile):
    kind = BACKUP

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self._pending: bytearray | None = None

    def _target(self) -> bytearray:
        if self._pending is None:
            self._pending = bytearray(self.data)
        return self._pending

    def commit(self) -> bool:
        if self._pending is None:
            return False
        self.data, self._pending = self._pending, None
        return True

    def abort(self) -> bool:
        was, self._pending = self._pending, None
        return was is not None

    def blocks(self) -> int:
        return 2 * super().blocks()


class ValueFile(CardFile):
    """A balance between two limits. `limited` is what LimitedCredit may still give back."""

    kind = VALUE
    CREDIT, DEBIT, LIMITED = 0x0C, 0xDC, 0x1C

    def __init__(self, comm: int, rights: int, lower: int, upper: int, value: int, options: int, limited: int = 0):
        super().__init__(comm, rights)
        self.lower, self.upper, self.value, self.options, self.limited = lower, upper, value, options, limited
        self._pending: int | None = None
        self._debited = 0
        self._is_limited_used = False

    def _details(self) -> bytes:
        limits = self.lower.to_bytes(4, "little", signed=True) + self.upper.to_bytes(4, "little", signed=True)
        return limits + self.limited.to_bytes(4, "little", signed=True) + bytes([self.options])

    def change(self, command: int, amount: int) -> None:
        """Credit, Debit or LimitedCredit within this transaction. Raises Refused."""
        if amount < 0:
            raise Refused(PARAMETER_ERROR)
        if command == self.LIMITED:
            if not self.options & 1:
                raise Refused(PERMISSION_DENIED)
            if self._is_limited_used or amount > self.limited:
                raise Refused(BOUNDARY_ERROR)
        value = self.value if self._pending is None else self._pending
        value += -amount if command == self.DEBIT else amount
        if not self.lower <= value <= self.upper:
            raise Refused(BOUNDARY_ERROR)
        self._pending = value
        self._debited += amount if command == self.DEBIT else 0
        self._is_limited_used |= command == self.LIMITED

    def commit(self) -> bool:
        if self._pending is None:
            return False
        self.value = self._pending
        if self._debited:
            self.limited = self._debited
        elif self._is_limited_used:
            self.limited = 0
        self.abort()
        return True

    def abort(self) -> bool:
        was, self._pending = self._pending, None
        self._debited, self._is_limited_used = 0, False
        return was is not None

    def to_state(self) -> dict:
        own = {"lower": self.lower, "upper": self.upper, "value": self.value}
        return super().to_state() | own | {"options": self.options, "limited": self.limited}


class RecordFile(CardFile):
    """Linear or cyclic records, oldest first. A cyclic file of n keeps n - 1: the last place is the shadow."""

    def __init__(self, kind: int, comm: int, rights: int, size: int, most: int, iso_id: int = 0, records: tuple = ()):
        super().__init__(comm, rights, iso_id)
        self.kind, self.size, self.most = kind, size, most
        self.records = list(records)
        self._new: bytearray | None = None
        self._is_cleared = False

    def _details(self) -> bytes:
        return b"".join(n.to_bytes(3, "little") for n in (self.size, self.most, len(self.records)))

    def read(self, at: int, count: int) -> bytes:
        """`count` records, the newest of them `at` places back from the newest of all, in the order of writing."""
        count = count or len(self.records) - at
        if count <= 0 or at + count > len(self.records):
            raise Refused(BOUNDARY_ERROR)
        last = len(self.records) - at
        return b"".join(self.records[last - count : last])

    def check_write(self, at: int, length: int) -> None:
        if self._is_cleared:
            raise Refused(PERMISSION_DENIED)
        if length <= 0 or at + length > self.size:
            raise Refused(BOUNDARY_ERROR)
        if self.kind == LINEAR and self._new is None and len(self.records) >= self.most:
            raise Refused(BOUNDARY_ERROR)

    def write(self, at: int, data: bytes) -> None:
        """Into the one record that this transaction adds, however often it is written."""
        if self._new is None:
            self._new = bytearray(self.size)
        self._new[at : at + len(data)] = data

    def clear(self) -> None:
        self._is_cleared, self._new = True, None

    def commit(self) -> bool:
        if self._is_cleared:
            self.records = []
        elif self._new is not None:
            room = self.most - (self.kind == CYCLIC)
            self.records = (self.records + [bytes(self._new)])[-room:]
        else:
            return False
        self.abort()
        return True

    def abort(self) -> bool:
        was = self._is_cleared or self._new is not None
        self._new, self._is_cleared = None, False
        return was

    def blocks(self) -> int:
        return -(-self.size * self.most // 32)

    def to_state(self) -> dict:
        own = {"size": self.size, "most": self.most, "records": [record.hex() for record in self.records]}
        return super().to_state() | own


def from_state(state: dict) -> CardFile:
    """A file as `to_state` described it, nothing pending."""
    kind, comm, rights = state["kind"], state.get("comm", PLAIN), state["rights"]
    if kind == VALUE:
        limits = state["lower"], state["upper"], state["value"]
        return ValueFile(comm, rights, *limits, state["options"], state["limited"])
    if kind in (LINEAR, CYCLIC):
        records = tuple(bytes.fromhex(record) for record in state["records"])
        return RecordFile(kind, comm, rights, state["size"], state["most"], state["iso_id"], records)
    data = bytes.fromhex(state["data"])
    return (BackupFile if kind == BACKUP else DataFile)(comm, rights, len(data), state["iso_id"], data)
