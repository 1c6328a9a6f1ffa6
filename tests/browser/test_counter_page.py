"""The counter page as a visitor uses it: Chromium, mouse and keyboard, the real firmware behind it."""

import base64
import pathlib
import re

import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from shop_process import HANG_S, ShopProcess
from tools import need

pytestmark = pytest.mark.browser

PICTURE = pathlib.Path(__file__).parents[2] / "host_tools/docs/counter.png"
_FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run "
    "--disable-quic --mute-audio"
)
_LIMIT_MS = HANG_S * 1000
_IDLE = "A bal. B slip C total"  # stands on no other screen
expect.set_options(timeout=_LIMIT_MS)


@pytest.fixture(scope="module")
def browser():
    need("chromium", "chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_FLAGS.split())
        yield started
        started.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with ShopProcess(tmp_path_factory.mktemp("state"), "run", "--port", "0", "--state", "keyed") as running:
        yield running.url()


class Visitor:
    """Somebody in front of the page."""

    def __init__(self, page, url):
        self.page = page
        self.complaints = []
        page.set_default_timeout(_LIMIT_MS)
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._check_address(request.url, url))
        page.goto(url)
        expect(page.locator("html")).to_have_attribute("data-version", re.compile(r"\d"))

    def _check_address(self, address, url):
        place = url.removeprefix("http://").rstrip("/")
        if not re.match(r"(http|ws)://%s/|data:" % re.escape(place), address):
            self.complaints.append("loads " + address)

    def sees(self, text):
        expect(self.page.locator("#screen-text")).to_contain_text(text)

    def idle(self):
        """The idle screen; results that stand there are read away, the clock is set by the back office."""
        expect(self.page.locator("#screen-text")).to_have_text(re.compile(_IDLE + "|Last sale|Power cut"))
        if _IDLE not in self.page.inner_text("#screen-text"):
            self.type("Enter")
            self.sees(_IDLE)

    def type(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def ask(self, amount):
        """By keyboard, from the idle screen to the prompt for the card."""
        self.idle()
        self.type(*str(amount))
        self.sees("%d.%02d" % divmod(amount, 100))
        self.type("Enter")
        self.sees("Charge this amount?")
        self.type("Enter")
        self.sees("Tap or swipe a card")

    def click_key(self, key):
        self.page.click('.key[data-key="%s"]' % key)

    def card(self, number):
        return self.page.locator('.card[data-card="%d"]' % number)

    def lay(self, number):
        """Click a card in the rack."""
        self.card(number).click()
        expect(self.card(number)).to_have_attribute("aria-pressed", "true")

    def take(self, number):
        self.card(number).click()
        expect(self.card(number)).to_have_attribute("aria-pressed", "false")

    def carry(self, number, place):
        """Drag a card, the button held, over an element; it is still in the hand then."""
        start = self.card(number).bounding_box()
        goal = self.page.locator(place).bounding_box()
        self.page.mouse.move(start["x"] + 40, start["y"] + 30)
        self.page.mouse.down()
        self.page.mouse.move(goal["x"] + goal["width"] / 2, goal["y"] + goal["height"] / 2, steps=8)

    def stripe(self, number):
        return self.page.locator('.card[data-stripe="%d"]' % number)

    def try_stripe(self):
        """Until the terminal asks for a swipe, the stripe cards in front."""
        self.idle()
        self.page.get_by_label("Stripe cards").check()
        self.page.keyboard.press("#")
        self.sees("Swipe the card")
        expect(self.page.locator("#rail")).to_have_class(re.compile("wanting"))

    def drag_through(self, number, cm_s, until_mm=60):
        """Take a stripe card and pull it up through the slot: at a speed, until its middle is so far beyond the head."""
        box = self.stripe(number).bounding_box()
        self.page.mouse.move(box["x"] + 40, box["y"] + 30)
        self.page.mouse.down()
        end_y = self.stripe(number).evaluate(
            """(face, [cmS, untilMm]) => {
                const head = document.getElementById("rail-head").getBoundingClientRect();
                const pxMm = face.offsetWidth / 85.6;
                const start = performance.now();
                let y = 0;
                for (let mm = -70; mm < untilMm; ) {
                    mm = Math.min(untilMm, -70 + ((performance.now() - start) * cmS) / 100);
                    y = head.top + head.height / 2 - mm * pxMm;
                    const place = { pointerId: 1, clientX: head.left, clientY: y };
                    face.dispatchEvent(new PointerEvent("pointermove", place));
                    for (const soon = performance.now() + 8; performance.now() < soon; );
                }
                return y;
            }""",
            [cm_s, until_mm],
        )
        rail = self.page.locator("#rail").bounding_box()
        self.page.mouse.move(rail["x"], end_y)
        self.page.mouse.up()

    def connected(self):
        """The back office and the terminal have heard of each other."""
        expect(self.page.locator("#office-line")).to_contain_text("heard at")

    def settled(self):
        """Everything that the journal holds is in the books."""
        expect(self.page.locator("#journal-line")).to_have_text(re.compile("all sent|empty"))

    def figure(self, name):
        return self.page.locator('[data-figure="%s"]' % name)

    def figure_now(self, name):
        return self.figure(name).inner_text()

    def known(self, number):
        """The card's balance by the books, in minor units."""
        text = self.card(number).locator(".known").text_content()
        return round(float(re.search(r"¥([\d.,]+)", text)[1].replace(",", "")) * 100)

    def booked(self, slip):
        return self.page.locator('#office-rows tr[data-row="%d"]' % slip)

    def newest(self, kind):
        """Until the newest record of the journal is a `kind`; its row."""
        row = self.page.locator("#journal-rows tr").first
        expect(row.locator(".kind")).to_have_text(kind)
        return row

    def state(self):
        """What a page is told first, asked for on a wire of its own."""
        return self.page.evaluate(
            """() => new Promise((done) => {
                const wire = new WebSocket(`ws://${location.host}/ws`);
                wire.onmessage = (event) => { wire.close(); done(JSON.parse(event.data).set); };
            })"""
        )

    def dots(self):
        """The canvas read back to 1024 bytes: whether the middle of each dot is lit."""
        lit = self.page.evaluate(
            """() => {
                const canvas = document.getElementById("oled");
                const dot = canvas.width / 128;
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                const at = (x, y) => data[((y * dot + (dot >> 1)) * canvas.width + x * dot + (dot >> 1)) * 4 + 3];
                const bytes = new Array(1024).fill(0);
                for (let y = 0; y < 64; y++) for (let x = 0; x < 128; x++)
                    if (at(x, y)) bytes[128 * (y >> 3) + x] |= 1 << (y & 7);
                return bytes;
            }"""
        )
        return bytes(lit)


@pytest.fixture
def visitor(browser, shop):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    somebody = Visitor(page, shop)
    yield somebody
    page.close()
    assert somebody.complaints == []


def test_a_sale_by_keyboard_and_a_clicked_card(visitor):
    visitor.idle()
    visitor.settled()
    before = visitor.known(2)
    slips = int(visitor.figure_now("Slips"))
    visitor.ask(350)
    visitor.lay(2)
    visitor.sees("Paid")
    row = visitor.newest("committed")
    slip = int(row.locator("td").nth(2).inner_text())
    image = visitor.page.locator("#paper img")
    expect(image).to_have_attribute("alt", re.compile("%d.%02d" % divmod(before - 350, 100)))
    assert image.evaluate("image => image.naturalWidth") == 600
    visitor.take(2)
    expect(visitor.booked(slip)).to_contain_text("committed")
    expect(visitor.booked(slip)).to_contain_text("¥3.50")
    expect(visitor.figure("Slips")).to_have_text(str(slips + 1))
    expect(row.locator(".sent")).to_have_text("yes")
    expect(visitor.card(2).locator(".known")).to_contain_text("¥%d.%02d" % divmod(before - 350, 100))
    expect(visitor.page.locator("#verdict")).to_have_class(re.compile("agrees"))


def test_a_sale_by_mouse_and_a_card_in_the_hand(visitor):
    visitor.idle()
    visitor.settled()
    before = visitor.known(4)
    for key in "120##":
        visitor.click_key(key)
    visitor.sees("Tap or swipe a card")
    expect(visitor.page.locator("#pad")).to_have_class(re.compile("wanting"))
    visitor.carry(4, "#pad")
    visitor.sees("Paid")
    expect(visitor.card(4)).to_have_attribute("aria-pressed", "true")
    box = visitor.page.locator(".rack-front").bounding_box()
    visitor.page.mouse.move(box["x"] + 300, box["y"] + 10, steps=4)
    expect(visitor.card(4)).to_have_attribute("aria-pressed", "false")
    visitor.page.mouse.up()
    expect(visitor.card(4).locator(".known")).to_contain_text("¥%d.%02d" % divmod(before - 120, 100))


def test_a_stripe_card_is_dragged_through_the_slot_as_fast_as_the_hand_goes(visitor):
    visitor.try_stripe()
    visitor.drag_through(1, 40)
    visitor.sees("The stripe is good")
    expect(visitor.page.locator("#rail-speed")).to_have_text(re.compile(r"^(3[5-9]|4[0-5]) cm/s"))
    visitor.try_stripe()
    visitor.drag_through(1, 90, until_mm=-10)
    visitor.sees("STRIPE NOT READ")


def test_a_stripe_is_swiped_by_keyboard_and_by_a_click(visitor):
    visitor.try_stripe()
    visitor.stripe(2).focus()
    visitor.page.keyboard.press("Enter")
    visitor.sees("The stripe is good")
    visitor.try_stripe()
    visitor.stripe(5).click()
    visitor.sees("BANK CARD REFUSED")
    visitor.idle()
    visitor.stripe(2).click()
    expect(visitor.page.locator("#notice")).to_contain_text("the terminal listens when it asks")


def test_a_stripe_pays_with_a_drag_through_the_slot(visitor):
    visitor.connected()
    visitor.idle()
    visitor.page.get_by_label("Stripe cards").check()
    visitor.ask(480)
    visitor.drag_through(2, 50)
    visitor.sees("Balance 80.20")
    expect(visitor.stripe(2).locator(".known")).to_contain_text("¥80.20")
    expect(visitor.page.locator("#verdict")).to_have_class(re.compile("agrees"))


def test_an_account_gets_more_money(visitor):
    visitor.page.get_by_label("Stripe cards").check()
    visitor.stripe(3).hover()
    visitor.page.get_by_role("button", name="Add money to the account of Tomas").click()
    visitor.page.click('#amounts [data-minor="5000"]')
    expect(visitor.stripe(3).locator(".known")).to_contain_text("¥56.00")


def test_a_new_stripe_from_the_back_office_and_the_copy_of_the_old_one(visitor):
    visitor.idle()
    visitor.page.get_by_label("Stripe cards").check()
    visitor.connected()
    office = visitor.page.context.browser.new_page()
    office.goto(visitor.page.url + "office/accounts/1")
    office.get_by_role("button", name="New stripe").click()
    expect(office.locator("dl.facts")).to_contain_text("no. 2")
    office.close()
    expect(visitor.stripe(6).locator(".holder")).to_have_text("Chen Jie, a copy")
    expect(visitor.stripe(6).locator(".printed")).to_contain_text("stripe 1")
    expect(visitor.stripe(1).locator(".printed")).to_contain_text("stripe 2")
    for number, says in ((6, "CARD WAS REPLACED"), (1, "Balance 235.20")):
        visitor.idle()
        visitor.ask(480)
        visitor.stripe(number).click()
        visitor.sees(says)
    visitor.idle()
    expect(visitor.stripe(6)).to_be_visible()


def test_a_card_on_the_reader_stays_to_be_seen_beside_the_stripes(visitor):
    visitor.idle()
    visitor.lay(6)
    visitor.page.get_by_label("Stripe cards").check()
    expect(visitor.card(6)).to_be_visible()
    expect(visitor.card(5)).to_be_hidden()
    visitor.take(6)
    expect(visitor.card(6)).to_be_hidden()


def test_the_display_is_shown_dot_for_dot(visitor):
    visitor.ask(8800)
    state = visitor.state()
    assert "88.00" in state["screen"]["text"]
    assert visitor.dots() == base64.b64decode(state["screen"]["bits"])
    visitor.type("Escape")
    visitor.idle()


def test_a_key_is_down_for_as_long_as_it_is_held(visitor):
    visitor.idle()
    five = visitor.page.locator('.key[data-key="5"]')
    visitor.page.keyboard.down("5")
    expect(five).to_have_class(re.compile("held"))
    visitor.sees("0.05")
    visitor.page.evaluate("window.dispatchEvent(new Event('blur'))")
    expect(five).not_to_have_class(re.compile("held"))
    visitor.page.keyboard.up("5")
    five.focus()
    visitor.type("Enter")  # the focused key, not OK
    visitor.sees("0.55")
    visitor.type("Backspace")
    visitor.page.keyboard.press("Escape")
    visitor.idle()


def test_without_a_network_sales_wait_and_arrive_once(visitor):
    visitor.idle()
    visitor.settled()
    visitor.page.get_by_label("Down", exact=True).check()
    slips = int(visitor.figure_now("Slips"))
    visitor.ask(200)
    visitor.lay(6)
    visitor.sees("Paid")
    row = visitor.newest("committed")
    visitor.take(6)
    expect(row.locator(".sent")).to_have_text("waits")
    visitor.idle()
    assert int(visitor.figure_now("Slips")) == slips
    visitor.page.get_by_label("Up", exact=True).check()
    expect(row.locator(".sent")).to_have_text("yes")
    expect(visitor.figure("Slips")).to_have_text(str(slips + 1))


def test_without_paper_the_sale_stands_and_the_slip_comes_later(visitor):
    visitor.idle()
    switch = visitor.page.locator("#paper-switch")
    switch.click()
    expect(switch).to_have_text("Put paper in")
    tray = visitor.page.locator("#slips-open").inner_text()
    visitor.ask(130)
    visitor.lay(6)
    visitor.newest("committed")
    visitor.take(6)
    assert visitor.page.locator("#slips-open").inner_text() == tray
    switch.click()
    expect(visitor.page.locator("#slips-open")).not_to_have_text(tray)
    expect(visitor.page.locator("#paper img")).to_have_attribute("alt", re.compile("LATE"))


def test_the_slip_is_torn_off_looked_at_and_kept(visitor):
    visitor.ask(110)
    visitor.lay(6)
    visitor.sees("Paid")
    visitor.take(6)
    tear = visitor.page.locator("#tear-off")
    expect(tear).to_be_enabled()
    visitor.page.locator("#paper").click()
    expect(visitor.page.locator("#gallery img")).to_have_count(1)
    visitor.page.keyboard.press("Escape")
    expect(visitor.page.locator("#slips")).to_be_hidden()
    tear.click()
    expect(visitor.page.locator("#paper")).to_be_hidden()
    expect(tear).to_be_disabled()
    visitor.page.locator("#slips-open").click()
    expect(visitor.page.locator("#gallery img").nth(1)).to_be_visible()
    visitor.page.click("#slips [data-close]")


def test_the_plug_is_pulled_and_the_picture_goes_dark(visitor):
    visitor.idle()
    visitor.page.click("#plug")
    expect(visitor.page.locator("#dead")).to_be_visible()
    assert not any(visitor.dots())
    expect(visitor.page.locator("#arm")).to_be_disabled()
    visitor.page.click("#dead-button")
    expect(visitor.page.locator("#dead")).to_be_hidden()
    visitor.idle()
    assert any(visitor.dots())


def test_a_cut_in_the_middle_of_a_write_loses_nothing(visitor):
    visitor.ask(100)
    visitor.page.click("#arm")
    expect(visitor.page.locator("#arm")).to_have_attribute("aria-pressed", "true")
    visitor.lay(6)
    expect(visitor.page.locator("#dead-text")).to_contain_text("flash write")
    visitor.take(6)
    visitor.page.click("#dead-button")
    visitor.idle()
    visitor.ask(100)
    visitor.lay(6)
    visitor.sees("Paid")
    visitor.take(6)
    expect(visitor.page.locator("#verdict")).to_have_class(re.compile("agrees"))
    expect(visitor.page.locator("#mismatches li")).to_have_count(0)


def test_a_torn_tap_is_asked_for_again_and_booked_once(visitor):
    visitor.idle()
    visitor.settled()
    before = visitor.known(6)
    visitor.ask(160)
    visitor.page.get_by_label("Answer lost", exact=True).check()
    visitor.page.select_option("#tear-at", "8")
    expect(visitor.page.locator("#torn")).to_have_class(re.compile("set"))
    visitor.card(6).click()
    visitor.sees("Tap the SAME card")
    expect(visitor.card(6)).to_have_attribute("aria-pressed", "false")
    expect(visitor.page.locator("#tear-at")).to_have_value("0")
    visitor.lay(6)
    expect(visitor.card(6).locator(".known")).to_contain_text("¥%d.%02d" % divmod(before - 160, 100))
    visitor.take(6)
    expect(visitor.page.locator("#verdict")).to_have_class(re.compile("agrees"))


def test_new_cards_and_more_money_come_from_the_back_office(visitor):
    count = visitor.page.locator(".card").count()
    visitor.page.click("#new-card")
    expect(visitor.page.locator(".card")).to_have_count(count + 1)
    before = visitor.known(3)
    visitor.card(3).hover()
    visitor.page.get_by_role("button", name="Add money to the card of Amira").click()
    visitor.page.click('#amounts [data-minor="2000"]')
    expect(visitor.card(3).locator(".known")).to_contain_text("¥%d.%02d" % divmod(before + 2000, 100))
    visitor.card(3).hover()
    for _ in range(2):
        visitor.page.get_by_role("button", name="Add money to the card of Amira").click()
        visitor.page.click('#amounts [data-minor="50000"]')
        visitor.card(3).hover()
    expect(visitor.card(3).locator(".known")).to_contain_text("¥1,0")


def test_a_refusal_is_told_in_words(visitor):
    visitor.page.evaluate("document.querySelector('#new-card').focus()")
    visitor.state()  # a second wire, and it sends nonsense
    answer = visitor.page.evaluate(
        """() => new Promise((done) => {
            const wire = new WebSocket(`ws://${location.host}/ws`);
            wire.onmessage = (event) => {
                const message = JSON.parse(event.data);
                if (message.error) { wire.close(); done(message.error); } else wire.send('{"cmd": "plug", "state": "x"}');
            };
        })"""
    )
    assert answer["code"] == "bad-field"


@pytest.mark.parametrize(
    "size", [(1920, 1080), (1440, 900), (1280, 800), (1024, 768), (820, 1180), (390, 844), (320, 640)]
)
def test_it_fits_every_window(browser, shop, size):
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    somebody = Visitor(page, shop)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= size[0]
    display = page.locator("#oled").bounding_box()
    assert display["x"] >= 0 and display["x"] + display["width"] <= size[0]
    dot = display["width"] / 128
    assert dot == int(dot) and dot >= 2
    page.close()
    assert somebody.complaints == []


def test_every_control_has_a_name_and_can_be_reached_by_keyboard(visitor):
    nameless = visitor.page.evaluate(
        """() => [...document.querySelectorAll("button, a, input, select")].filter((element) => {
            const name = element.getAttribute("aria-label") ?? (element.labels?.[0]?.textContent || element.textContent);
            return !name.trim() || element.tabIndex < 0;
        }).map((element) => element.outerHTML)"""
    )
    assert nameless == []


def test_the_page_says_that_the_shop_is_gone_and_finds_it_again(browser, tmp_path):
    with ShopProcess(tmp_path, "run", "--port", "0") as first:
        url = first.url()
        page = browser.new_page()
        somebody = Visitor(page, url)
        somebody.idle()
    expect(page.locator("#notice")).to_contain_text("The shop is not running")
    with ShopProcess(tmp_path, "run", "--port", url.rstrip("/").rpartition(":")[2]) as again:
        assert again.url() == url
        expect(page.locator("#notice")).to_be_hidden()
        somebody.idle()
    page.close()


def test_golden_picture_for_the_readme(browser, tmp_path, request):
    """With --golden: a shop in the middle of its morning, as a picture; always: the picture is there and small."""
    if request.config.getoption("--golden"):
        with ShopProcess(tmp_path, "run", "--port", "0", "--state", "keyed") as shop:
            take_picture(browser, shop.url())
    assert Image.open(PICTURE).format == "PNG" and PICTURE.stat().st_size < 300_000


def take_picture(browser, url):
    """A few sales, one card on the reader, one lifted: what a visitor sees after a minute."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    somebody = Visitor(page, url)
    for amount, number in ((350, 2), (1280, 6), (600, 4), (420, 7), (890, 1)):
        somebody.ask(amount)
        somebody.lay(number)
        somebody.sees("Paid")
        somebody.take(number)
        expect(page.locator("#journal-rows tr").first.locator(".sent")).to_have_text("yes")
    somebody.ask(1350)
    somebody.lay(4)
    somebody.sees("Paid")
    expect(page.locator("#paper img")).to_have_attribute("alt", re.compile("68.50"))
    somebody.card(6).hover()
    PICTURE.parent.mkdir(exist_ok=True)
    page.screenshot(path=PICTURE, animations="disabled")
    six_bits = (
        Image.open(PICTURE).convert("RGB").point(lambda value: value & 0xFC)
    )  # nobody sees it, and it is half the size
    six_bits.save(PICTURE, optimize=True)
    page.close()
