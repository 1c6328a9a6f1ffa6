"""What the back office's pages change, by HTTP: accounts frozen and let go, stripes renewed, value moved, limits set."""

import http.client
import re
from urllib.parse import urlencode

import pytest
from account_world import EXPIRY, AccountOffice
from sqlalchemy import select

from kassette_host.backoffice import accounts as kept
from kassette_host.backoffice.accounts import Terms
from kassette_host.backoffice.events import Events
from kassette_host.backoffice.feed import Feed
from kassette_host.backoffice.issuing import Issuer
from kassette_host.backoffice.listener import Listener, bind
from kassette_host.backoffice.pages import Pages, page_app
from kassette_host.backoffice.schema import accounts, audit
from kassette_host.virtual.desfire import DesfireCard, activate

_HANG_S = 60
_NUMBER = "90471100001234569"


class Site:
    """The pages of an office without terminals, and a browser's hand."""

    def __init__(self, office):
        self.office = office
        self.account = office.accounts.open(_NUMBER, 1_000, Terms(EXPIRY))
        events = Events(Feed())
        self._pages = Listener(page_app(Pages(office.store, office.accounts, events), []), bind("127.0.0.1", 0, 1), 5)
        self._pages.start()

    def close(self):
        self._pages.end()
        self._pages.stop()

    def ask(self, method, path, form=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self._pages.port, timeout=_HANG_S)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        connection.request(method, path, form if form is None or isinstance(form, bytes) else urlencode(form), headers)
        response = connection.getresponse()
        told = response.status, response.headers.get("Location"), response.read().decode()
        connection.close()
        return told

    def page(self):
        return self.ask("GET", "/office/accounts/%d" % self.account)[2]

    def do(self, deed, account=None, **fields):
        """Press a button of the page as it is; the status."""
        token = re.search(r'name="token" value="([^"]+)"', self.page())[1]
        return self.ask("POST", "/office/accounts/%s/%s" % (account or self.account, deed), {"token": token} | fields)[
            0
        ]

    def row(self):
        with self.office.store.reading() as db:
            return db.execute(select(accounts).where(accounts.c.id == self.account)).one()


@pytest.fixture
def site(sqlite_books, account_keys):
    made = Site(AccountOffice(sqlite_books, account_keys))
    yield made
    made.close()


def test_an_account_is_frozen_and_let_go(site):
    till = site.office.tills[0]
    assert site.do("freeze") == 303 and site.row().state == kept.FROZEN
    assert site.office.sell(till, _NUMBER, 100) == 301
    assert "Make it active" in site.page() and "/freeze" not in site.page()
    assert site.do("release") == 303 and site.row().state == kept.ACTIVE
    assert site.office.sell(till, _NUMBER, 100) == 0
    with site.office.store.reading() as db:
        lines = db.execute(select(audit.c.actor, audit.c.action)).all()
    assert ("page", "account frozen") in lines and ("page", "account active") in lines


def test_a_new_stripe_and_a_chip_card_take_over(site):
    assert site.do("new-stripe") == 303 and site.row().sequence == 2
    card = DesfireCard(bytes.fromhex("04A1B2C3D4E5F6"))
    issuer = Issuer(site.office.store, site.office.keys, lambda: None)
    card_id = issuer.issue_card(activate(card), card.uid, 50)
    assert site.do("replace", card="99") == 409 and site.row().state == kept.ACTIVE
    assert site.do("replace", card=str(card_id)) == 303
    assert site.row().state == kept.REPLACED and site.office.terms().pending_credits == 1_000
    assert "What can be done" not in site.page() and "/office/cards/%d" % card_id in site.page()


def test_the_limit_offline_is_set_as_people_write_it(site):
    for text, minor in (("25", 2_500), ("0.5", 50), ("12.34", 1_234), ("0", 0)):
        assert site.do("offline-limit", limit=text) == 303
        assert site.row().offline_limit == minor
    for text in ("", "-5", "1.234", "x", "1e3", "99999999.99", "²"):
        assert site.do("offline-limit", limit=text) in (400, 409), text
    assert site.row().offline_limit == 0


def test_a_form_from_elsewhere_changes_nothing(site):
    where = "/office/accounts/%d/freeze" % site.account
    for form in ({}, {"token": ""}, {"token": "x" * 32}, b"token", b"\xff\xfe", b"token=" + b"x" * 2_000):
        status, _, text = site.ask("POST", where, form, Origin="http://evil.example")
        assert status in (400, 403, 413), form
        assert "Not done" in text
    assert site.ask("POST", where, {"token": "x"}, Host="evil.example")[0] == 400
    assert site.ask("GET", where)[0] in (404, 405)
    assert site.row().state == kept.ACTIVE


def test_what_is_not_there_cannot_be_done(site):
    assert site.do("destroy") == 404
    assert site.do("freeze", account="99") == 409
    assert site.do("freeze", account="9" * 5_000) == 400
    assert site.do("freeze", account="x") == 400
    assert site.row().state == kept.ACTIVE
