"""What the tests of accounts share."""

import pytest
from account_world import AccountOffice
from ledger_world import START

from kassette_host.backoffice import keystore
from kassette_host.backoffice.store import Store


@pytest.fixture(scope="session")
def account_keys():
    return keystore.generate()


@pytest.fixture(scope="session")
def sqlite_books():
    return Store(None, lambda: START, synchronous="OFF")


@pytest.fixture(scope="session")
def postgres_books(postgres):
    books = Store(postgres.database(), lambda: START)
    yield books
    books.close()


@pytest.fixture(params=["sqlite", "postgres"])
def account_office(request, account_keys):
    """Empty books with two tills, on either database."""
    return AccountOffice(request.getfixturevalue(request.param + "_books"), account_keys)
