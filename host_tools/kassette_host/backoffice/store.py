"""The database behind the back office: SQLite with a write-ahead log, one writer at a time, any number of readers."""

import pathlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.pool import QueuePool, StaticPool

from kassette_host.backoffice import schema

_BUSY_MS = 10_000
_READERS = 8


class StoreError(Exception):
    """The database cannot be used; the text says why."""


@dataclass(frozen=True)
class Books:
    """A transaction that may write: its connection, the ledger's currency (ISO 4217) and the time, u32 seconds."""

    db: Connection
    currency: int
    now: int


class Store:
    """Transactions on one database.

    `path`: a file, made when missing; None keeps everything in memory.
    `clock`: u32 seconds since 1970 UTC.
    `synchronous`: FULL survives a power cut after each commit; OFF is for tests.
    """

    def __init__(
        self, path: pathlib.Path | None, clock: Callable[[], int], currency: int = 156, synchronous: str = "FULL"
    ):
        if synchronous not in ("FULL", "NORMAL", "OFF"):
            raise StoreError("synchronous is FULL, NORMAL or OFF, not %s" % synchronous)
        self.clock = clock
        self.currency = currency
        self._writer = threading.RLock()
        self._synchronous = synchronous
        self._is_in_memory = path is None
        url = "sqlite://" if path is None else "sqlite:///%s" % path
        pool = {"poolclass": StaticPool} if path is None else {"poolclass": QueuePool, "pool_size": _READERS}
        self._engine = create_engine(url, connect_args={"check_same_thread": False}, **pool)
        event.listen(self._engine, "connect", self._prepare)
        event.listen(self._engine, "begin", _begin)
        self._create()

    def _prepare(self, connection, _record) -> None:
        connection.isolation_level = None  # transactions are begun by hand, see _begin
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=%s" % self._synchronous)
        cursor.execute("PRAGMA busy_timeout=%d" % _BUSY_MS)
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    def _create(self) -> None:
        with self.writing() as books:
            version = books.db.scalar(text("PRAGMA user_version"))
            if version not in (0, schema.VERSION):
                raise StoreError("the database has layout %s, this program writes %d" % (version, schema.VERSION))
            schema.metadata.create_all(books.db)
            books.db.execute(text("PRAGMA user_version=%d" % schema.VERSION))

    @contextmanager
    def writing(self) -> Iterator[Books]:
        """One transaction that may write; committed at the end, rolled back by any exception."""
        with self._writer, self._engine.connect().execution_options(kassette_writes=True) as db, db.begin():
            yield Books(db, self.currency, self.clock())

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view, of committed data only."""
        if self._is_in_memory:  # the one connection there is can't be in two transactions
            with self._writer, self._engine.connect() as db, db.begin():
                yield db
        else:
            with self._engine.connect() as db, db.begin():
                yield db

    def close(self) -> None:
        self._engine.dispose()


def _begin(db: Connection) -> None:
    # A writer takes its lock at once: a reader that turned writer half way would fail with SQLITE_BUSY.
    writes = db.get_execution_options().get("kassette_writes")
    db.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
