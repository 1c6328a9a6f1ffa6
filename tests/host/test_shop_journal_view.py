"""The page's view of the journal against the firmware's own: the same records, the same fill, also torn and rolling over."""

import pytest
from journals import JOURNAL_ID, NOON, ROOT, TERMINAL, fresh, intent, mounted, payload
from ram_nor import PROGRAM_TEARS, PowerCut

from kassette.codec import records
from kassette_host import journal as host_journal
from kassette_host.shop.journal_view import SHOWN, JournalView

NOW = NOON + 1000


def sale(journal, slip):
    commit(journal, journal.append(records.INTENT, intent(slip, 100 + slip)), slip)


def commit(journal, serial, slip):
    journal.append(records.COMMITTED, payload(records.COMMITTED, NOON, serial, slip, 5000, 11, 0, b""))


def view_of(flash):
    return JournalView(flash, ROOT, TERMINAL, JOURNAL_ID)


def everything(flash):
    return host_journal.read_flash(flash, ROOT, TERMINAL, JOURNAL_ID)


def test_an_empty_journal_is_empty():
    flash, _ = fresh()
    view = view_of(flash)
    view.refresh(NOW)
    shown = view.view(0, NOW)
    assert (shown["rows"], shown["unsent"], shown["oldest_unsent_s"], shown["error"], shown["fill"]) == (
        [],
        0,
        None,
        None,
        0,
    )


def test_each_record_is_shown_once_across_sectors_with_the_firmwares_own_fill():
    flash, journal = fresh()
    view = view_of(flash)
    for slip in range(1, 40):
        sale(journal, slip)
        view.refresh(NOW)
        assert view.error == ""
        assert view.serial == journal.next_serial - 1 == 2 * slip
        assert view.fill_percent() == journal.fill_percent()
    rows = view.view(0, NOW)["rows"]
    assert len(rows) == SHOWN
    newest = everything(flash)[: -SHOWN - 1 : -1]
    assert [row["serial"] for row in rows] == [entry.serial for entry in newest]
    assert rows[1] == {"serial": 77, "kind": "intent", "slip": 39, "amount": 139, "sent": False}
    assert rows[0] == {"serial": 78, "kind": "committed", "slip": 39, "amount": None, "sent": False}


def test_what_was_there_before_is_found_at_the_first_look():
    flash, journal = fresh()
    for slip in range(1, 25):
        sale(journal, slip)
    view = view_of(flash)
    view.refresh(NOW)
    assert view.serial == 48 and view.fill_percent() == journal.fill_percent()


def test_acknowledged_records_are_sent_and_free_sectors_when_the_terminal_says_so():
    flash, journal = fresh()
    view = view_of(flash)
    for slip in range(1, 36):
        sale(journal, slip)
    view.refresh(NOW)
    full = view.fill_percent()
    shown = view.view(66, NOW + 100)
    assert (shown["unsent"], shown["oldest_unsent_s"]) == (4, 60)
    assert [row["sent"] for row in shown["rows"][:6]] == [False] * 4 + [True] * 2
    tag = next(entry.tag for entry in everything(flash) if entry.serial == 66)
    assert journal.acknowledge(66, tag, NOON, True)
    view.refresh(NOW)
    assert view.fill_percent() == journal.fill_percent() < full
    assert view.view(70, NOW)["rows"][0]["kind"] == "acknowledgement"


def test_it_follows_round_the_partition():
    flash, journal = fresh()
    view = view_of(flash)
    for slip in range(1, 200):
        sale(journal, slip)
        if slip % 20 == 0:
            journal.acknowledge(journal.next_serial - 1, journal.tag, NOON, True)
        view.refresh(NOW)
        assert view.serial == journal.next_serial - 1
        assert view.fill_percent() == journal.fill_percent()


@pytest.mark.parametrize(
    "tear", [PROGRAM_TEARS.index(name) for name in ("nothing", "prefix", "half the bits", "one bit")]
)
def test_a_torn_record_is_told_until_it_is_burned(tear):
    flash, journal = fresh()
    sale(journal, 1)
    view = view_of(flash)
    view.refresh(NOW)
    flash.cut_at(2, tear)
    with pytest.raises(PowerCut):
        sale(journal, 2)
    view.refresh(NOW)
    assert (view.serial, view.error) == (2, "a torn record behind serial 2")
    flash.keep_power()
    journal, _ = mounted(flash)
    sale(journal, 2)
    view.refresh(NOW)
    assert view.error == "" and view.serial == journal.next_serial - 1


def test_another_journal_is_not_mistaken_for_this_one():
    flash, journal = fresh()
    sale(journal, 1)
    view = JournalView(flash, b"another root key", TERMINAL, JOURNAL_ID)
    view.refresh(NOW)
    assert view.serial == 0 and view.view(0, NOW)["rows"] == []


def test_news_are_outcomes_only():
    flash, journal = fresh()
    sale(journal, 1)
    view = view_of(flash)
    view.refresh(NOW)
    sale(journal, 2)
    view.refresh(NOW)
    assert view.news(2) == ["slip 2: committed"] and view.news(4) == []
