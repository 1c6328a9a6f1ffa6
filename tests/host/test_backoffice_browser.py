"""An open page of the back office in Chromium: it fits a phone, and shows a sale without being reloaded."""

import pytest
from ledger_world import START, Card
from playwright.sync_api import sync_playwright
from tools import need
from uploads import body, journal_till, raw_slots

from kassette_host.backoffice import register
from kassette_host.backoffice.accounts import Terms
from kassette_host.backoffice.office import BackOffice, Config
from kassette_host.provision import journal_root
from kassette_host.virtual.desfire import DesfireCard, activate

pytestmark = pytest.mark.browser
_TERMINAL, _JOURNAL = 0x4B530001, 1
_HANG_MS = 60_000
_PAGES = (
    "",
    "terminals",
    "slips",
    "slips/4B530001/1/1",
    "cards",
    "cards/1",
    "accounts",
    "accounts/1",
    "ledger",
    "mismatches",
    "audit",
)
_CHROMIUM = "/usr/bin/chromium"
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-quic"]


@pytest.fixture
def shop(tmp_path):
    office = BackOffice(
        Config(tmp_path, "passphrase", terminal_port=0, page_port=0, synchronous="OFF", clock=lambda: START)
    )
    office.enrol_terminal(_TERMINAL, _JOURNAL, 1, "Counter", "Shop")
    till = journal_till(_TERMINAL, _JOURNAL, journal_root(office.keys.journal_master, _TERMINAL, 1))
    chip = DesfireCard(bytes([4, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6]))
    card_id = office.issuer.issue_card(activate(chip), chip.uid, 50_000)
    office.accounts.open("90471100001234569", 20_000, Terms(START + 10**8, day_limit_minor=50_000), pin="2468")
    with office.store.reading() as db:
        card = Card(card_id, chip.uid, register.card(db, card_id).number, 50_000)
    yield office, till, card, "http://127.0.0.1:%d/office/" % office.start().pages
    office.close()


@pytest.fixture
def browser():
    need("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


def test_an_open_page_shows_a_sale_without_being_reloaded(shop, browser):
    office, till, card, address = shop
    page = browser.new_page()
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#live.on", timeout=_HANG_MS)
    page.evaluate("window.isTheSame = true")
    till.sell(card, 1250)
    office.intake.take(body(till, raw_slots(till)), _TERMINAL)
    page.wait_for_selector("td:has-text('12.50')", timeout=_HANG_MS)
    assert page.locator(".tile").first.inner_text().startswith("12.50")
    assert page.evaluate("window.isTheSame") and not problems


def test_an_account_is_frozen_with_a_button(shop, browser):
    address = shop[3]
    page = browser.new_page()
    page.goto(address + "accounts/1")
    page.get_by_role("button", name="Freeze").click()
    page.get_by_role("button", name="Make it active").wait_for(timeout=_HANG_MS)
    assert page.locator("h1 .pill").inner_text() == "frozen"
    page.goto(address + "audit")
    page.wait_for_selector("td:has-text('account frozen')", timeout=_HANG_MS)


def test_every_page_fits_a_phone(shop, browser):
    office, till, card, address = shop
    till.sell(card, 1250)
    office.intake.take(body(till, raw_slots(till)), _TERMINAL)
    page = browser.new_page(viewport={"width": 360, "height": 740})
    for path in _PAGES:
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
