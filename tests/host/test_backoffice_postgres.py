"""The books on PostgreSQL: the tests of booking and of closed days once more, and what only two writers can show."""

import threading

import pytest
import test_backoffice_booking
import test_backoffice_closing
from sqlalchemy import func, select, update

from kassette_host.backoffice import register
from kassette_host.backoffice.schema import terminals
from kassette_host.backoffice.store import Store, StoreError

_NOW = 1_790_000_000


@pytest.fixture(scope="module")
def store(postgres):
    """One for all: making the tables takes longer than a test."""
    made = Store(postgres.database(), lambda: _NOW)
    yield made
    made.close()


def _bodies():
    for module in (test_backoffice_booking, test_backoffice_closing):
        for name, function in vars(module).items():
            plain = name.startswith("test_") and not hasattr(function, "hypothesis")  # those take too long here
            if plain and not function.__code__.co_argcount:
                yield pytest.param(module, name, id=name)


@pytest.mark.parametrize("module, name", list(_bodies()))
def test_the_same_on_postgresql(module, name, store, monkeypatch):
    monkeypatch.setattr(module, "_STORE", store)
    getattr(module, name)()


def test_two_writers_that_saw_each_other_s_rows_are_one_after_the_other(postgres):
    """Write skew: each reads both rows and changes one, unless the other has. Both at once may not happen."""
    url = postgres.database()
    stores = [Store(url, lambda: _NOW), Store(url, lambda: _NOW)]
    with stores[0].writing() as books:
        for number in (1, 2):
            register.enrol_terminal(books, number, 1, 1, "on duty", "shop")
    both_have_read = threading.Barrier(2)
    tries = []

    def leave(store, mine):
        def work(books):
            tries.append(mine)
            on_duty = books.db.scalars(select(terminals.c.number).where(terminals.c.name == "on duty")).all()
            if len(tries) <= 2:
                both_have_read.wait()
            if len(on_duty) == 2:
                books.db.execute(update(terminals).where(terminals.c.number == mine).values(name="off"))

        store.write(work)

    threads = [threading.Thread(target=leave, args=pair) for pair in zip(stores, (1, 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with stores[0].reading() as db:
        assert list(db.scalars(select(terminals.c.name))).count("on duty") == 1
    assert len(tries) == 3
    for store in stores:
        store.close()


def test_a_reader_sees_one_moment(postgres):
    url = postgres.database()
    store, other = Store(url, lambda: _NOW), Store(url, lambda: _NOW)
    with store.reading() as db:
        assert db.scalar(select(func.count()).select_from(terminals)) == 0
        other.write(lambda books: register.enrol_terminal(books, 1, 1, 1, "till", "shop"))
        assert db.scalar(select(func.count()).select_from(terminals)) == 0
    with store.reading() as db:
        assert db.scalar(select(func.count()).select_from(terminals)) == 1
    store.close()
    other.close()


def test_what_is_no_database_is_refused(postgres):
    for url in ("mysql://localhost/books", "postgresql+psycopg://kassette@/none?host=%s" % postgres.directory):
        with pytest.raises(StoreError):
            Store(url, lambda: _NOW)
