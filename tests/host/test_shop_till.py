"""The counter with the real firmware behind it: a site in a folder, a till in its thread, commands as the page sends them."""

import json
import os
import queue
import shutil
import signal
import socket

import pytest
from shop_process import HANG_S, wait_for

from kassette_host.backoffice.store import Store
from kassette_host.shop.commands import Command
from kassette_host.shop.site import OPENING_BALANCES, Lock, Plan, ShopError
from kassette_host.shop.starts import STARTS, open_site
from kassette_host.shop.till import MAX_WAITING, Till
from kassette_host.sim import cashier


class Counter:
    """A person at the page: gives commands, sees what is published."""

    def __init__(self, directory, state="kept", plan=None):
        self.site = open_site(directory, state, plan or Plan(terminal_port=0))
        self.refusals = queue.Queue()
        self.failures = []
        self.till = Till(self.site, lambda line: None, lambda: self.failures.append("till"))

    def __enter__(self):
        self.till.start()
        return self

    def __exit__(self, *_):
        self.till.stop()
        self.site.close()
        assert not self.failures

    def do(self, name, **args):
        self.till.post(Command(name, args), self.refusals.put)

    def refused(self, name, **args):
        self.do(name, **args)
        return self.refusals.get(timeout=HANG_S).code

    def until(self, condition):
        return wait_for(self.till.feed, condition)

    def sees(self, *texts):
        return self.until(lambda parts: any(text in parts["screen"]["text"] for text in texts))

    def press(self, keys):
        for key in keys:
            self.do("key_down", key=key)
            self.do("key_up", key=key)

    def idle(self):
        """The idle screen; what the terminal has to say about an interrupted sale is read away."""
        parts = self.sees(cashier.IDLE, "Last sale", "Power cut")
        if cashier.IDLE not in parts["screen"]["text"]:
            self.press("#")
            parts = self.sees(cashier.IDLE)
        return parts

    def ask(self, amount):
        """From the idle screen to the prompt for a card."""
        self.idle()
        self.press(str(amount))
        self.sees("# OK")
        self.press("#")
        self.sees(cashier.CONFIRM)
        self.press("#")
        self.sees(cashier.TAP, cashier.TAP_OR_SWIPE)

    def sell(self, card, amount):
        self.ask(amount)
        self.do("card_put", card=card)
        parts = self.sees(cashier.PAID)
        self.do("card_take", card=card)
        return parts


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A shop that is closed and opened from test to test, as from day to day."""
    return tmp_path_factory.mktemp("shop")


def card(parts, number):
    return next(card for card in parts["cards"] if card["id"] == number)


def test_the_first_start_makes_a_whole_shop(directory):
    with Counter(directory) as counter:
        parts = counter.idle()
    assert [card["known"] for card in parts["cards"]] == list(OPENING_BALANCES)
    assert len({(card["holder"], card["colour"], card["last4"]) for card in parts["cards"]}) == 8
    assert parts["office"]["on_cards"] == sum(OPENING_BALANCES) and parts["office"]["conserved"]
    assert parts["about"]["keyed"] and parts["power"]["on"] and parts["power"]["fault"] is None
    assert parts["journal"]["rows"] == [] and parts["paper"]["slips"] == []


def test_a_sale_is_seen_everywhere_and_is_there_the_next_day(tmp_path):
    with Counter(tmp_path) as counter:
        counter.sell(2, 350)
        parts = counter.until(lambda p: p["paper"]["slips"] and not p["paper"]["slips"][-1].get("printing"))
        assert "116.50" in parts["paper"]["slips"][-1]["text"]
        assert counter.till.slip_png(1)[:4] == b"\x89PNG" and counter.till.slip_png(2) is None
        rows = [(row["kind"], row["slip"], row["amount"]) for row in parts["journal"]["rows"]]
        assert rows == [("committed", 1, None), ("intent", 1, 350)]
        assert parts["tones"], "it beeped"
        counter.until(lambda p: not card(p, 2)["on_reader"])
        counter.do("tear_off", slip=1)
        counter.until(lambda p: p["paper"]["slips"][-1]["torn"])
    with Counter(tmp_path) as counter:
        parts = counter.idle()
        assert [(slip["id"], slip["torn"]) for slip in parts["paper"]["slips"]] == [(1, True)]
        assert [row["serial"] for row in parts["journal"]["rows"]] == [2, 1]
        counter.press("A")
        counter.sees("Balance: hold")
        counter.do("card_put", card=2)
        counter.sees("%d.%02d" % divmod(OPENING_BALANCES[1] - 350, 100))


def steady(cm_s):
    """A hand's way through the slot, as the page sends it."""
    ms = round(1156 / cm_s)
    return [[0, -150], [ms, 1006]]


def test_a_card_is_dragged_through_the_slot(directory):
    with Counter(directory) as counter:
        counter.idle()
        assert counter.refused("swipe", stripe=1, path=steady(45)) == "not-listening"
        for stripe, path, says in (
            (1, steady(45), "The stripe is good"),
            (1, [[0, 1006], [100, -150]], "The stripe is good"),
            (1, [[0, -150], [120, 250]], "STRIPE NOT READ"),
            (4, steady(45), "STRIPE IS ERASED"),
            (5, steady(45), "BANK CARD REFUSED"),
        ):
            counter.idle()
            counter.press("#")
            counter.until(lambda p: p["slot"]["wants"])
            counter.do("swipe", stripe=stripe, path=path)
            counter.sees(says)
        assert counter.refused("swipe", stripe=9, path=steady(45)) == "no-such-card"


def test_a_stripe_pays_online_and_by_the_offline_rule(tmp_path):
    with Counter(tmp_path) as counter:
        counter.idle()
        counter.sell(2, 350)
        counter.until(lambda p: p["office"]["slips"] == 1)
        for state, paid in (("up", "Balance 232.50"), ("down", "Paid, offline rule")):
            counter.do("network", state=state)
            counter.until(lambda p, state=state: p["network"]["state"] == state)
            counter.ask(750)
            counter.do("swipe", stripe=1, path=steady(50))
            counter.sees(paid)
        counter.do("network", state="up")
        parts = counter.until(lambda p: p["office"]["slips"] == 3)
        assert [row["outcome"] for row in parts["office"]["rows"]] == ["committed"] * 3
        assert parts["stripes"][0]["known"] == 22_500 and parts["office"]["conserved"]


def test_stripes_are_accounts_of_the_back_office_and_can_be_filled(directory):
    with Counter(directory) as counter:
        parts = counter.idle()
        known = {card["id"]: card["known"] for card in parts["stripes"]}
        assert known == {1: 24_000, 2: 8_500, 3: 600, 4: 24_000, 5: None}
        counter.do("fill", stripe=3, amount=1_000)
        counter.until(lambda p: p["stripes"][2]["known"] == 1_600 and p["office"]["conserved"])
        assert counter.refused("fill", stripe=5, amount=1_000) == "account-denied"


def test_a_new_stripe_of_the_back_office_is_written_and_a_copy_of_the_old_one_is_refused(tmp_path):
    with Counter(tmp_path) as counter:
        counter.idle()
        counter.sell(2, 350)
        counter.until(lambda p: p["office"]["slips"] == 1)
        accounts = counter.site.office._office.accounts
        for sequence in (2, 3):
            assert accounts.renew_stripe(2) == sequence
            parts = counter.until(lambda p, s=sequence: p["stripes"][1]["sequence"] == s)
        kinds = [(one["id"], one["kind"], one["sequence"]) for one in parts["stripes"]]
        assert kinds[1:] == [(2, "good", 3), (3, "good", 1), (4, "erased", 1), (5, "bank", None), (6, "copy", 2)]
        assert parts["stripes"][5]["number"] == parts["stripes"][1]["number"]
        for stripe, says in ((6, "CARD WAS REPLACED"), (2, "Balance 80.00"), (1, "Balance 235.00")):
            counter.ask(500)
            counter.do("swipe", stripe=stripe, path=steady(50))
            counter.sees(says)
            counter.idle()
    with Counter(tmp_path) as counter:
        assert len(counter.idle()["stripes"]) == 6, "the stripes are there the next day"


def test_a_terminal_without_a_stripe_reader_has_no_slot(directory):
    with Counter(directory, plan=Plan(terminal_port=0, has_stripe=False)) as counter:
        assert counter.idle()["slot"] == {"fitted": False, "wants": False}
        assert counter.site.terminal.heap == "128k"
        assert counter.refused("swipe", stripe=1, path=steady(45)) == "no-slot"


def test_the_plug_is_pulled_and_put_in_again(directory):
    with Counter(directory) as counter:
        counter.idle()
        pid = counter.site.terminal._process._process.pid
        counter.do("plug", state="out")
        parts = counter.until(lambda p: not p["power"]["on"])
        assert parts["power"]["cut"] and parts["screen"]["text"] == "" and set(parts["screen"]["bits"]) <= set("A=")
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert counter.refused("plug", state="arm") == "no-power"
        counter.do("plug", state="in")
        parts = counter.idle()
        assert parts["power"]["on"] and parts["power"]["cut"] is None


def test_a_cut_in_a_flash_write_is_told_at_the_next_boot(directory):
    with Counter(directory) as counter:
        counter.ask(200)
        counter.do("plug", state="arm")
        counter.until(lambda p: p["power"]["armed"])
        counter.do("card_put", card=4)
        parts = counter.until(lambda p: not p["power"]["on"])
        assert "flash write" in parts["power"]["cut"] and not parts["power"]["armed"]
        counter.do("card_take", card=4)
        counter.do("plug", state="in")
        counter.until(lambda p: p["power"]["on"] and p["screen"]["text"])
        counter.until(lambda p: not p["journal"]["error"])


def test_an_armed_cut_can_be_called_off(directory):
    with Counter(directory) as counter:
        counter.idle()
        counter.do("plug", state="arm")
        counter.until(lambda p: p["power"]["armed"])
        counter.do("plug", state="keep")
        counter.until(lambda p: not p["power"]["armed"])
        counter.sell(6, 100)


def test_a_firmware_that_dies_is_shown_and_can_be_switched_on_again(directory):
    with Counter(directory) as counter:
        counter.idle()
        os.kill(counter.site.terminal._process._process.pid, signal.SIGSEGV)
        parts = counter.until(lambda p: p["power"]["fault"])
        assert "ended by itself" in parts["power"]["fault"] and not parts["power"]["on"]
        counter.do("plug", state="in")
        assert counter.idle()["power"]["fault"] is None


def test_a_card_is_pulled_away_at_the_command_that_was_asked_for(directory):
    with Counter(directory) as counter:
        counter.ask(100)
        counter.do("tear", command=8, lost="after")
        counter.until(lambda p: p["reader"]["tear"]["command"] == 8)
        counter.do("card_put", card=6)
        parts = counter.sees(cashier.TAP_SAME)
        parts = counter.until(lambda p: p["reader"]["tear"]["command"] == 0 and not card(p, 6)["on_reader"])
        committed = counter.site.rack.find(6).card.to_state()
        assert json.loads((directory / "cards/000006.json").read_text())["card"] == committed, (
            "on disk before anybody asks"
        )
        counter.do("card_put", card=6)
        counter.sees(cashier.PAID, cashier.CHARGED)
        parts = counter.until(lambda p: p["journal"]["rows"][0]["kind"] in ("committed", "late commit"))
        assert [row["kind"] for row in parts["journal"]["rows"][:3]][1:] == ["unresolved", "intent"]


def test_more_money_and_new_cards_come_through_the_back_office(directory):
    with Counter(directory) as counter:
        before = counter.idle()
        counter.do("top_up", card=3, amount=2000)
        counter.until(lambda p: card(p, 3)["known"] == card(before, 3)["known"] + 2000)
        counter.do("new_card")
        parts = counter.until(lambda p: len(p["cards"]) == len(before["cards"]) + 1)
        assert parts["cards"][-1]["known"] == 5000
        counter.do("card_put", card=3)
        counter.until(lambda p: card(p, 3)["on_reader"])
        assert counter.refused("top_up", card=3, amount=100) == "card-away"
        assert counter.refused("top_up", card=1, amount=1_000_000) == "card-full"


def test_money_is_in_a_cards_file_before_the_books_have_it(directory, monkeypatch):
    site = open_site(directory, "kept", Plan(terminal_port=0))
    one = site.rack.find(5)
    write = Store.write
    seen = []

    def spy(store, work):
        told = json.loads((directory / "cards/000005.json").read_text())
        seen.append(told["card"] == one.card.to_state())
        return write(store, work)

    monkeypatch.setattr(Store, "write", spy)
    before = one.card.to_state()
    site.top_up(one, 250)
    assert len(seen) > 1 and all(seen) and one.card.to_state() != before  # whoever kills the shop now loses nothing
    site.office.stop()
    site.terminal.close()
    site.close()


def test_the_network_goes_down_falls_silent_and_comes_back(directory):
    with Counter(directory) as counter:
        counter.idle()
        counter.do("network", state="down")
        counter.sees("[no net]")
        counter.do("network", state="silent")
        counter.until(lambda p: p["network"]["state"] == "silent" and "[no net]" not in p["screen"]["text"])
        counter.do("network", state="up")
        counter.until(lambda p: p["network"]["state"] == "up")


def test_what_was_sold_is_booked_and_the_identity_holds(directory):
    with Counter(directory) as counter:
        before = counter.idle()["office"]
        counter.ask(240)
        counter.do("tear", command=8, lost="after")
        counter.do("card_put", card=7)
        counter.sees(cashier.TAP_SAME)
        counter.press("*")
        counter.sees(cashier.DECIDE)
        counter.press("1")
        parts = counter.until(
            lambda p: p["office"]["takings"] >= before["takings"] + 240 and not p["journal"]["unsent"]
        )
        assert parts["office"]["conserved"] and "− ¥2.40 suspense" in parts["office"]["verdict"]
        assert parts["office"]["rows"][0]["outcome"] == "given"


def test_what_can_not_be_done_is_refused(directory):
    with Counter(directory) as counter:
        counter.idle()
        assert counter.refused("card_put", card=999) == "no-such-card"
        assert counter.refused("card_take", card=0) == "no-such-card"
        assert counter.refused("top_up", card=999, amount=1) == "no-such-card"
        assert counter.refused("tear_off", slip=999) == "no-such-slip"
        assert counter.refused("provision") == "has-keys"


def test_a_page_that_asks_too_fast_is_refused_and_nothing_is_lost(directory):
    counter = Counter(directory)  # its thread does not run yet: nothing is taken from the queue
    for _ in range(MAX_WAITING):
        counter.do("paper", loaded=True)
    assert counter.refused("paper", loaded=True) == "too-fast"
    with counter:
        counter.idle()


def test_a_finger_leaves_its_key_however_much_else_is_asked(directory):
    counter = Counter(directory)
    counter.do("key_down", key="5")
    for _ in range(MAX_WAITING - 1):
        counter.do("paper", loaded=True)
    counter.do("key_up", key="5")
    with counter:
        counter.sees("# OK")
        counter.press("5")
        counter.sees("0.55")
        counter.press("**")
        counter.idle()
    assert counter.refusals.empty()


def test_only_one_shop_holds_a_directory(directory):
    lock = Lock(directory)
    with pytest.raises(ShopError, match="open already .process %d" % os.getpid()):
        Lock(directory)
    lock.release()
    Lock(directory).release()


def test_a_half_made_shop_is_made_again(tmp_path):
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards/000001.json").write_text("{")
    (tmp_path / "flash.img").write_bytes(b"half")
    with Counter(tmp_path) as counter:
        counter.idle()


@pytest.mark.parametrize(
    "name, content",
    [
        ("shop.json", ""),
        ("shop.json", "[]"),
        ("shop.json", '{"format": 2}'),
        ("stripes.json", "{"),
        ("stripes.json", None),
        ("cards/000001.json", ""),
        ("cards/000001.json", "{}"),
        ("office/keys.json", "{}"),
        ("office/keys.json", None),
        ("office/books.sqlite", 100 * "not a database"),
        ("office/books.sqlite", None),
        ("office/pki/ca.pem", ""),
        ("office/pki/server.key.pem", None),
        ("flash.img", None),
    ],
)
def test_a_damaged_shop_is_refused_and_left_as_it_is(directory, tmp_path, name, content):
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    with pytest.raises(ShopError, match="make reset"):
        open_site(tmp_path, "kept", Plan(terminal_port=0))
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.json")}


def test_no_free_port_for_terminals_is_no_damage(directory, tmp_path):
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 65_535))  # there is no next one
        taken.listen()
        with pytest.raises(ShopError, match="no port for the terminals") as refused:
            open_site(tmp_path, "kept", Plan(terminal_port=65_535))
    assert "reset" not in str(refused.value)


def test_a_shop_of_another_version_is_refused(tmp_path):
    (tmp_path / "shop.json").write_text('{"format": 99}')
    with pytest.raises(ShopError, match="make reset"):
        open_site(tmp_path, "kept")


@pytest.mark.parametrize("state", [state for state in STARTS if state not in ("kept", "fresh")])
def test_start_states(tmp_path, state):
    with Counter(tmp_path, state) as counter:
        parts = counter.idle()
        rows = parts["journal"]["rows"]
        assert parts["about"]["keyed"]
        assert parts["paper"]["loaded"] == (state != "paper-out")
        assert parts["network"]["state"] == ("down" if state in ("offline", "journal-full", "clock-lost") else "up")
        assert (parts["journal"]["fill"] >= 80) == (state == "journal-full")
        if state == "offline":
            assert len(rows) == 6 and parts["journal"]["unsent"] == 6
        if state in ("keyed", "paper-out", "clock-lost"):
            assert rows == []


def test_a_fresh_terminal_asks_for_its_keys_and_gets_them(tmp_path):
    with Counter(tmp_path, "fresh") as counter:
        parts = counter.sees("701")
        assert not parts["about"]["keyed"]
        counter.do("provision")
        assert counter.idle()["about"]["keyed"]
        counter.sell(1, 100)
