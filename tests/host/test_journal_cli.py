"""`kassette journal`: what people see of a journal, and the exit status that scripts go by."""

import json

import pytest
from click.testing import CliRunner
from cuts import World
from journals import (
    JOURNAL_ID,
    NOON,
    ROOT,
    TERMINAL,
    committed,
    config,
    decision,
    fresh,
    late_commit,
    not_debited,
    payload,
    sell,
    unresolved,
)
from ram_nor import PowerCut, RamNor

from kassette.codec import card_record
from kassette.codec.records import (
    ABANDONED,
    COMMITTED,
    CONFIG,
    DECISION,
    GIVEN_UP_ALL,
    INTENT,
    JOURNAL_REPLACED,
    LATE_COMMIT,
    NOT_DEBITED,
    UNRESOLVED,
    unpack,
)
from kassette.store.journal import Journal
from kassette.store.till import Till
from kassette_host.journal_cli import journal as group


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("KASSETTE_JOURNAL_ROOT", ROOT.hex())

    def call(*words, files=(), typed=None):
        for name, data in files:
            (tmp_path / name).write_bytes(data)
        words = [str(tmp_path / word) if (tmp_path / word).exists() else word for word in map(str, words)]
        return CliRunner().invoke(group, words, input=typed)

    return call


def image_of(flash):
    return bytes(flash.memory)


def shop():
    """Five sales, one of them tried twice, one torn and decided."""
    flash, journal = fresh()
    for slip in range(1, 4):
        sell(journal, slip, 100 * slip)
    serial = journal.append(INTENT, proper_intent(4, 1))
    journal.append(NOT_DEBITED, not_debited(serial, 4))
    serial = journal.append(INTENT, proper_intent(4, 2))
    journal.append(COMMITTED, committed(serial, 4))
    serial = journal.append(INTENT, proper_intent(5, 1))
    journal.append(UNRESOLVED, unresolved(serial, 5))
    journal.append(DECISION, decision(serial, 5, ABANDONED))
    journal.append(LATE_COMMIT, late_commit(serial, 5))
    return flash, journal


def proper_intent(slip, attempt, amount=250, link=(0, 0)):
    """An intent whose card record agrees with the balance and sequence that were read."""
    newest = card_record.pack_record(1, TERMINAL, JOURNAL_ID, 1, 10, 100, 5000, NOON, b"tag..")
    values = (
        NOON,
        slip,
        attempt,
        amount,
        156,
        b"\x04UID123",
        987654321,
        0,
        0,
        0,
        1,
        5000,
        10,
        newest,
        NOON + 9,
        1,
        7,
        1,
        *link,
    )
    return payload(INTENT, *values)


def test_dump_shows_every_record(run):
    flash, _ = shop()
    done = run("dump", "a.bin", files=[("a.bin", image_of(flash))])
    assert done.exit_code == 0
    assert done.output.count("committed") == 4
    assert "late commit" in done.output


def test_dump_as_json_hides_card_numbers(run):
    flash, journal = shop()
    done = run("dump", "--json", "a.bin", files=[("a.bin", image_of(flash))])
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == journal.next_serial - 1
    assert lines[6]["card"] == "4321"
    assert "987654321" not in done.output
    assert "uid" not in lines[6]
    assert (lines[6]["slip"], lines[6]["amount"], lines[6]["kind"]) == (4, 250, "intent")


def test_a_whole_chip_is_searched_for_the_journal(run):
    flash, journal = shop()
    chip = bytes(64 * 1024) + image_of(flash) + b"\xff" * 8192
    done = run("dump", "--json", "a.bin", files=[("a.bin", chip)])
    assert len(done.stdout.splitlines()) == journal.next_serial - 1


def test_raw_frames_are_read_from_the_start_and_from_a_header(run):
    _, journal = fresh()
    for number in range(70):
        journal.append(CONFIG, config(number))
    whole = b"".join(bytes(raw) for raw in journal.slots(1))
    later = b"".join(bytes(raw) for raw in journal.slots(32))
    where = ("--terminal", TERMINAL, "--journal-id", JOURNAL_ID)
    for data, count in ((whole, 70), (later, 39)):
        done = run("dump", "--json", "f.raw", *where, files=[("f.raw", data)])
        assert len(done.stdout.splitlines()) == count
    post = b"KU1\0" + TERMINAL.to_bytes(4, "little") + JOURNAL_ID.to_bytes(2, "little")
    post += (len(whole) // 128).to_bytes(2, "little") + bytes(24) + whole
    done = run("verify", "f.raw", files=[("f.raw", post)])
    assert (done.exit_code, done.output) == (0, "records 1 to 70: whole\n")


def test_verify_says_what_is_wrong(run):
    flash, journal = fresh()
    for number in range(70):
        journal.append(CONFIG, config(number))
    good = image_of(flash)

    def status(image):
        return run("verify", "a.bin", files=[("a.bin", image)]).exit_code

    def changed(at, data):
        return good[:at] + data + good[at + len(data) :]

    assert status(good) == 0
    assert status(changed(journal.at(3, 20), bytes(128))) == 1
    assert status(changed(journal.at(2, 5), b"\xff" * 128)) == 3
    assert status(changed(journal.at(2, 5), good[journal.at(2, 6) : journal.at(2, 7)])) in (3, 4)
    assert status(changed(journal.at(1, 31) + 60, bytes([good[journal.at(1, 31) + 60] ^ 8]))) == 5
    assert status(changed(11 * 4096, ROOT)) == 8
    other = RamNor(12)
    from kassette_host.journal import format

    format(other, b"another root key", TERMINAL, JOURNAL_ID)
    assert status(image_of(other)) == 6


def test_verify_after_a_cut(run):
    world = World(4)
    for _ in range(100):
        world.step()
    world.flash.cut_at(2, 3)
    with pytest.raises(PowerCut):
        while True:
            world.step()
    assert run("verify", "a.bin", files=[("a.bin", image_of(world.flash))]).exit_code in (0, 1)


def test_diff_tells_growth_from_a_fork(run):
    flash, journal = shop()
    early = image_of(flash)
    journal.append(CONFIG, config(1))
    later = image_of(flash)
    from journals import mounted

    clone, _ = mounted(RamNor(image=early))
    clone.append(CONFIG, config(2))
    fork = image_of(clone.flash)
    files = [("a", early), ("b", later), ("c", fork)]
    assert run("diff", "a", "a", files=files).exit_code == 0
    assert run("diff", "a", "b", files=files).exit_code == 1
    done = run("diff", "--json", "b", "c", files=files)
    assert done.exit_code == 4
    assert json.loads(done.stdout)["different"] == [15]


def test_replay_executes_a_slip_again(run):
    flash, _ = shop()
    files = [("a.bin", image_of(flash))]
    done = run("replay", "a.bin", 4, files=files)
    assert done.exit_code == 0, done.output
    assert done.output.count("attempt") == 2
    assert "rules 1: the card may pay  holds" in done.output
    assert "final outcome: committed  holds" in done.output
    done = run("replay", "a.bin", 5)
    assert "abandoned and debited: 2.50 is owed back" in done.output
    assert run("replay", "a.bin", 99).exit_code == 2


def test_a_part_of_a_split_sale_is_told(run):
    flash, journal = fresh()
    serial = journal.append(INTENT, proper_intent(1, 1, link=(1_000, 0)))
    journal.append(COMMITTED, committed(serial, 1))
    serial = journal.append(INTENT, proper_intent(2, 1, amount=750, link=(1_000, 1)))
    journal.append(COMMITTED, payload(COMMITTED, NOON, serial, 2, 4250, 11, 0, b""))
    serial = journal.append(INTENT, proper_intent(3, 1, link=(250, 0)))
    files = [("a.bin", image_of(flash))]
    shown = [json.loads(line) for line in run("dump", "a.bin", "--json", files=files).output.splitlines()]
    assert [(one["whole"], one["first_slip"]) for one in shown if one["kind"] == "intent"] == [
        (1_000, 0),
        (1_000, 1),
        (250, 0),
    ]
    assert "a part of 10.00, split over two media  holds" in run("replay", "a.bin", 1).output
    done = run("replay", "a.bin", 2)
    assert (
        done.exit_code == 0 and "a part of 10.00, split over two media, the first one is slip 1  holds" in done.output
    )
    assert "a part of 2.50, split over two media  DOES NOT HOLD" in run("replay", "a.bin", 3).output


def test_replay_finds_what_does_not_hold(run):
    flash, journal = fresh()
    serial = journal.append(INTENT, proper_intent(1, 1, amount=9000))
    journal.append(COMMITTED, committed(serial, 1))
    done = run("replay", "a.bin", 1, files=[("a.bin", image_of(flash))])
    assert done.exit_code == 7
    assert "refused with 303  DOES NOT HOLD" in done.output


def test_without_a_key_it_says_how(run, monkeypatch, tmp_path):
    flash, _ = shop()
    monkeypatch.delenv("KASSETTE_JOURNAL_ROOT")
    done = run("dump", "a.bin", files=[("a.bin", image_of(flash))])
    assert done.exit_code == 2
    assert "32 hex digits" in done.output
    (tmp_path / "root").write_text(ROOT.hex() + "\n")
    assert run("dump", "a.bin", "--root-file", tmp_path / "root").exit_code == 0
    assert run("dump", "nowhere.bin", "--root-file", tmp_path / "root").exit_code == 2


def test_wrong_input_is_said_so(run):
    flash, _ = shop()
    image = image_of(flash)
    where = ("--terminal", TERMINAL, "--journal-id", JOURNAL_ID)
    for name, data in (("empty", b""), ("text", b"hello world\n" * 99), ("blank", b"\xff" * 4096 * 12)):
        for command in ("dump", "verify"):
            assert run(command, name, *where, files=[(name, data)]).exit_code == 6
        assert run("diff", "a.bin", name, *where, files=[("a.bin", image)]).exit_code == 6
    assert run("replay", "a.bin", 1, "--terminal", TERMINAL + 1).exit_code == 6
    for option in (("--terminal", -1), ("--terminal", 1 << 32), ("--journal-id", 1 << 16)):
        assert run("verify", "a.bin", *option).exit_code == 2
    assert run("verify", "a.bin", "--root-file", "binary", files=[("binary", bytes(range(200, 216)))]).exit_code == 2


def test_an_upload_that_was_cut_short_has_the_slots_that_are_there(run):
    _, journal = shop()
    slots = b"".join(bytes(raw) for raw in journal.slots(1))
    head = b"KU1\0" + TERMINAL.to_bytes(4, "little") + JOURNAL_ID.to_bytes(2, "little") + b"\x0f\0" + bytes(24)
    done = run("verify", "f.raw", files=[("f.raw", head + slots[: 5 * 128 + 9])])
    assert (done.exit_code, done.output) == (0, "records 1 to 4: whole\n")
    for data in (head, head[:7], head + slots[:9]):
        where = ("--terminal", TERMINAL, "--journal-id", JOURNAL_ID)
        assert run("verify", "f.raw", *where, files=[("f.raw", data)]).exit_code == 6


def first_record(tmp_path, journal_id):
    flash = RamNor(image=(tmp_path / "a.bin").read_bytes())
    journal = Journal(flash, TERMINAL, journal_id, Till())
    journal.mount()
    record = bytearray(96)
    return journal, (journal.read(1, record), unpack(CONFIG, record)[1:]) if journal.next_serial > 1 else None


def test_a_technician_replaces_a_journal_that_is_acknowledged(run, tmp_path):
    flash, journal = shop()
    last = journal.next_serial - 1
    journal.acknowledge(last, journal.tag_of(last), NOON, True)
    journal.acknowledge(last + 1, journal.tag_of(last + 1), NOON, True)
    files = [("a.bin", image_of(flash))]
    assert run("format", "a.bin", JOURNAL_ID, files=files).exit_code == 2
    done = run(
        "format", "a.bin", 9, files=files, typed="1\n"
    )  # the record of the last acknowledgement is never covered
    assert done.exit_code == 0, done.output
    again, first = first_record(tmp_path, 9)
    assert again.fold.next_slip == 6
    assert first == (CONFIG, (JOURNAL_REPLACED, 1, 0))


def test_what_was_never_sent_has_to_be_typed_and_is_reported(run, tmp_path):
    flash, journal = shop()
    files = [("a.bin", image_of(flash))]
    for typed in ("", "1\n", "all\n"):
        done = run("format", "a.bin", 9, files=files, typed=typed)
        assert done.exit_code in (1, 9), done.output
        assert (tmp_path / "a.bin").read_bytes() == image_of(flash)
    count = journal.next_serial - 1
    assert run("format", "a.bin", 9, "--operator", 12, typed="%d\n" % count).exit_code == 0
    _, first = first_record(tmp_path, 9)
    assert first == (CONFIG, (JOURNAL_REPLACED, count, 12))
    assert ROOT not in (tmp_path / "a.bin").read_bytes()


def test_a_journal_that_does_not_mount_is_given_up_as_a_whole(run, tmp_path):
    flash, journal = shop()
    flash.memory[journal.at(1, 2) + 20] ^= 3
    files = [("a.bin", image_of(flash))]
    done = run("format", "a.bin", 9, "--next-slip", 6, files=files, typed="14\n")
    assert done.exit_code == 9
    assert "does not mount (404)" in done.output
    assert run("format", "a.bin", 9, "--next-slip", 6, typed="all\n").exit_code == 0
    again, first = first_record(tmp_path, 9)
    assert first == (CONFIG, (JOURNAL_REPLACED, GIVEN_UP_ALL, 0))
    assert again.fold.next_slip == 6


def test_no_new_journal_begins_in_what_is_not_the_partition(run, tmp_path):
    flash, _ = shop()
    image = image_of(flash)
    chip = b"\xee" * 65536 + image
    wrong = {"chip": chip, "odd": image[:-1], "small": image[: 10 * 4096]}
    for name, data in wrong.items():
        done = run("format", name, 9, "--terminal", TERMINAL, files=[(name, data)], typed="all\n")
        assert done.exit_code == 2, done.output
        assert (tmp_path / name).read_bytes() == data
    files = [("a.bin", image)]
    assert run("format", "a.bin", 9, "--terminal", TERMINAL + 1, files=files, typed="all\n").exit_code == 2
    assert run("format", "b.bin", 9, files=[("b.bin", b"\xff" * 4096 * 12)], typed="all\n").exit_code == 2
