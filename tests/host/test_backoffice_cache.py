"""The read cache: never older than the last commit, whatever readers and writers do at the same time."""

import random
import threading

import pytest
from ledger_world import START
from sqlalchemy import select, update

from kassette_host.backoffice import register
from kassette_host.backoffice.cache import ReadCache
from kassette_host.backoffice.schema import terminals
from kassette_host.backoffice.store import Store


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_what_was_read_is_kept_until_somebody_writes_or_it_is_old():
    clock, loads = Clock(), []
    cache = ReadCache(1.0, clock)

    def get():
        return cache.get("key", lambda: loads.append(1) or len(loads))

    assert (get(), get()) == (1, 1)
    with cache.write():
        pass
    assert (get(), get()) == (2, 2)
    clock.now = 0.9
    assert get() == 2
    clock.now = 1.0
    assert get() == 3


def test_a_reader_in_the_middle_of_a_write_keeps_nothing():
    cache, books = ReadCache(), {"balance": 100}
    with cache.write():
        assert cache.get("key", lambda: books["balance"]) == 100
        books["balance"] = 40  # the commit
    assert cache.get("key", lambda: books["balance"]) == 40


@pytest.mark.parametrize("ended", [False, True])
def test_a_reader_that_began_before_a_write_and_ends_in_it_or_after_it_keeps_nothing(ended):
    cache, books = ReadCache(), {"balance": 100}
    writing = cache.write()

    def slow():
        seen = books["balance"]
        writing.__enter__()
        books["balance"] = 40
        if ended:
            writing.__exit__(None, None, None)
        return seen

    assert cache.get("key", slow) == 100
    if not ended:
        writing.__exit__(None, None, None)
    assert cache.get("key", lambda: books["balance"]) == 40


def test_a_write_that_fails_lets_go_too():
    cache = ReadCache()
    with pytest.raises(KeyError), cache.write():
        raise KeyError
    cache.get("key", lambda: 1)
    assert cache.get("key", lambda: 2) == 1


def test_it_does_not_grow_without_end():
    cache = ReadCache()
    for key in range(10_000):
        cache.get(key, lambda: 0)
    assert len(cache._kept) <= 256


def test_a_reader_never_sees_less_than_was_committed_before_it_asked(tmp_path):
    store = Store(tmp_path / "books.sqlite", lambda: START, synchronous="OFF")
    store.write(lambda books: register.enrol_terminal(books, 1, 1, 1, "0", "shop"))
    committed, stale = [0], []

    def load():
        with store.reading() as db:
            return int(db.scalar(select(terminals.c.name)))

    def read():
        while committed[0] < 150:
            before = committed[0]
            seen = store.cache.get("name", load)
            if seen < before:
                stale.append((seen, before))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(1, 151):
        store.write(lambda books, n=number: books.db.execute(update(terminals).values(name=str(n))))
        committed[0] = number
        if random.random() < 0.2:
            store.cache.get("name", load)
    for reader in readers:
        reader.join()
    store.close()
    assert not stale
