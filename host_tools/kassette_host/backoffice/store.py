"""The database behind the back office: SQLite or PostgreSQL, a URL apart.

Every transaction that writes is serialisable and may be repeated: it is a function without effects outside the database.
SQLite (write-ahead log) has one writer at a time, which waits for its turn; PostgreSQL lets writers run side by side and breaks
off one that saw what another changed. `Store.write` repeats it.
"""

import pathlib
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DatabaseError, DBAPIError
from sqlalchemy.pool import StaticPool

from kassette_host.backoffice import schema
from kassette_host.backoffice.cache import ReadCache
from kassette_host.backoffice.numbers import Numbers

_BUSY_MS = 10_000
_CONNECTIONS = 16
_TRIES = 40
_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.1
# SQLSTATE: could not serialise; deadlock; unique key: of two that insert one row the second, repeated, finds the first's
_COLLISIONS = ("40001", "40P01", "23505")
_SQLITE_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

Result = TypeVar("Result")


class StoreError(Exception):
    """The database cannot be used; the text says why."""


@dataclass(frozen=True)
class Books:
    """A transaction that may write: its connection, the ledger's currency (ISO 4217) and the time, u32 seconds.

    `numbers`: what opens the tokens of accounts; without it every account is unknown.
    """

    db: Connection
    currency: int
    now: int
    numbers: Numbers | None = None


class Store:
    """Transactions on one database.

    `where`: a file for SQLite, made when missing; a URL such as postgresql+psycopg://user@host/books; None keeps everything
    in memory. `clock`: u32 seconds since 1970 UTC. `synchronous`: of SQLite; FULL survives a power cut after each
    commit, OFF is for tests. Raises StoreError.
    """

    def __init__(
        self, where: pathlib.Path | str | None, clock: Callable[[], int], currency: int = 156, synchronous: str = "FULL"
    ):
        if synchronous not in ("FULL", "NORMAL", "OFF"):
            raise StoreError("synchronous is FULL, NORMAL or OFF, not %s" % synchronous)
        self.clock = clock
        self.currency = currency
        self.numbers: Numbers | None = None
        self._synchronous = synchronous
        self._is_in_memory = where is None
        self._is_sqlite = not isinstance(where, str)
        self.cache = ReadCache()
        self._writer = threading.RLock() if self._is_sqlite else nullcontext()
        self._engine = self._sqlite(where) if not isinstance(where, str) else _postgresql(where)
        try:
            self.write(_create)
        except DatabaseError as error:
            raise StoreError("the database can't be opened (%s)" % type(error.orig).__name__)

    def _sqlite(self, path: pathlib.Path | None) -> Engine:
        url = "sqlite://" if path is None else "sqlite:///%s" % path
        pool = {"poolclass": StaticPool} if path is None else {"pool_size": _CONNECTIONS}
        engine = create_engine(url, connect_args={"check_same_thread": False}, **pool)
        event.listen(engine, "connect", self._prepare)
        event.listen(engine, "begin", _begin)
        return engine

    def _prepare(self, connection, _record) -> None:
        connection.isolation_level = None  # transactions are begun by hand, see _begin
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=%s" % self._synchronous)
        cursor.execute("PRAGMA busy_timeout=%d" % _BUSY_MS)
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    def write(self, work: Callable[[Books], Result]) -> Result:
        """Do `work` in one serialisable transaction and commit it; what it returns.

        Any exception of `work` rolls back and passes through. When the database breaks the transaction off in favour of
        another one, `work` is called again: it must not change anything but the database.
        """
        for attempt in range(_TRIES):
            try:
                with self.writing() as books:
                    return work(books)
            except DBAPIError as error:
                if attempt == _TRIES - 1 or not _is_collision(error):
                    raise
            time.sleep(random.uniform(0, min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S)))
        raise AssertionError("unreachable")

    @contextmanager
    def writing(self) -> Iterator[Books]:
        """One attempt at what `write` does: for programs that are alone with the database."""
        options = {"kassette_writes": True}
        with self._writer, self.cache.write(), self._engine.connect().execution_options(**options) as db, db.begin():
            yield Books(db, self.currency, self.clock(), self.numbers)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view, of committed data only."""
        if self._is_in_memory:  # the one connection there is can't be in two transactions
            with self._writer, self._engine.connect() as db, db.begin():
                yield db
        else:
            options = {} if self._is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            with self._engine.connect().execution_options(**options) as db, db.begin():
                yield db

    def close(self) -> None:
        self._engine.dispose()


def _postgresql(url: str) -> Engine:
    if not url.startswith("postgresql+psycopg://"):
        raise StoreError("a database is a file, or postgresql+psycopg://..")
    return create_engine(url, isolation_level="SERIALIZABLE", pool_size=_CONNECTIONS, max_overflow=_CONNECTIONS)


def _begin(db: Connection) -> None:
    # A writer takes its lock at once: a reader that turned writer half way would fail with SQLITE_BUSY.
    writes = db.get_execution_options().get("kassette_writes")
    db.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _is_collision(error: DBAPIError) -> bool:
    """Whether the same work may succeed when it is done again, after another's transaction."""
    original = error.orig
    if isinstance(original, sqlite3.OperationalError):
        return original.sqlite_errorcode & 0xFF in _SQLITE_BUSY
    return getattr(original, "sqlstate", None) in _COLLISIONS


def _create(books: Books) -> None:
    """Make what is missing, bring an older layout up to date. Raises StoreError for a newer one."""
    db = books.db
    found = set(inspect(db).get_table_names())
    if "layout" in found:
        version = db.scalar(text("SELECT version FROM layout"))
    elif "slots" in found:
        version = db.scalar(text("PRAGMA user_version"))  # where it stood before PostgreSQL
    else:
        version = schema.VERSION
    if version not in range(1, schema.VERSION + 1):
        raise StoreError("the database has layout %s, this program writes %d" % (version, schema.VERSION))
    for step in range(version, schema.VERSION):
        for statement in schema.STEPS[step]:
            db.execute(text(statement))
    schema.metadata.create_all(db)
    db.execute(schema.layout.delete())
    db.execute(schema.layout.insert(), {"version": schema.VERSION})
