"""ISO-DEP and what lies below it: the virtual card block by block, and the reader's half against it over bad air."""

import random

import pytest

from kassette_host.virtual import isodep_reader
from kassette_host.virtual.faults import Faults
from kassette_host.virtual.iso14443a import CardA, uid_levels, with_crc, without_crc
from kassette_host.virtual.isodep import Type4ACard
from kassette_host.virtual.radio import COLLISION, TIMEOUT, Radio, RadioError

UID = bytes.fromhex("04112233445566")


class Echo(Type4ACard):
    """Answers a command with itself, once or `times` over, and counts."""

    def __init__(self, uid=UID, times=1):
        super().__init__(uid)
        self.times = times
        self.commands = []

    def execute(self, command):
        self.commands.append(command)
        return command * self.times


def frame(card, text):
    """Send one standard frame given in hex, its checksum added; the answer without it, in hex, or None."""
    data = with_crc(bytes.fromhex(text))
    answer = card.receive(data, 8 * len(data))
    if answer is None:
        return None
    plain = without_crc(answer)
    assert plain is not None
    return plain.hex()


def short(card, command):
    return card.receive(bytes([command]), 7)


def selected(card):
    card.power_on()
    assert short(card, 0x26) == card.atqa
    for code, shown in zip((0x93, 0x95), uid_levels(card.uid)):
        assert card.receive(bytes([code, 0x20]), 16) == shown
        answer = frame(card, "%02x70%s" % (code, shown.hex()))
    assert answer == "%02x" % card.sak
    return card


def activated(card):
    assert frame(selected(card), "e050") == "067577810280"
    return card


# --- selection


def test_uid_of_seven_bytes_takes_two_levels():
    assert [level.hex() for level in uid_levels(UID)] == ["88041122bf", "3344556644"]
    assert [level.hex() for level in uid_levels(bytes.fromhex("01020304"))] == ["0102030404"]


def test_halted_card_answers_wupa_only():
    card = selected(Echo())
    assert frame(card, "5000") is None
    assert short(card, 0x26) is None
    assert short(card, 0x52) == card.atqa


def test_a_request_to_a_selected_card_sends_it_back_to_sleep():
    card = selected(Echo())
    assert short(card, 0x26) is None
    assert short(card, 0x26) == card.atqa


def test_without_field_or_with_a_wrong_checksum_there_is_no_answer():
    card = Echo()
    assert short(card, 0x26) is None
    selected(card)
    assert card.receive(bytes.fromhex("e0500000"), 32) is None
    assert short(card, 0x26) == card.atqa  # and it has fallen back


@pytest.mark.parametrize("text", ["e090", "e05f", "e0", "e05000"])
def test_bad_rats_is_not_answered(text):
    assert frame(selected(Echo()), text) is None


# --- blocks


def test_commands_and_block_numbers():
    card = activated(Echo())
    assert frame(card, "0260") == "0260"
    assert frame(card, "03af") == "03af"
    assert frame(card, "02" + "77" * 61) == "02" + "77" * 61


def test_pps_before_the_first_command():
    card = activated(Echo())
    assert frame(card, "d01105") == "d0"
    assert frame(card, "0201") == "0201"
    assert frame(card, "d01105") is None


def test_a_block_beyond_the_buffer_is_not_heard():
    card = activated(Echo())
    assert frame(card, "02" + "77" * 62) is None
    assert frame(card, "02" + "77" * 61) == "02" + "77" * 61


def test_lost_answer_is_sent_again_and_the_command_not_run_twice():
    card = activated(Echo())
    answer = frame(card, "0201")
    assert frame(card, "b2") == answer
    assert frame(card, "b2") == answer
    assert len(card.commands) == 1


def test_lost_command_is_asked_for():
    card = activated(Echo())
    frame(card, "0201")
    assert frame(card, "b3") == "a2"  # our block 1 never came: the card still stands at 0
    assert frame(card, "0302") == "0302"
    assert card.commands == [b"\x01", b"\x02"]


def test_presence_check_before_the_first_command():
    assert frame(activated(Echo()), "b2") == "a3"


def test_chained_command():
    card = activated(Echo())
    assert frame(card, "12aabb") == "a2"
    assert frame(card, "b2") == "a2"  # the acknowledgement was lost
    assert frame(card, "13cc") == "a3"
    assert frame(card, "02dd") == "02aabbccdd"


def test_chained_answer():
    card = activated(Echo(times=130))
    first = frame(card, "0255")
    assert first == "12" + "55" * 61
    assert frame(card, "a3") == "13" + "55" * 61
    assert frame(card, "a3") == "13" + "55" * 61  # lost: once more
    assert frame(card, "a2") == "02" + "55" * 8
    assert frame(card, "a3") is None  # nothing more


def test_smaller_frames_of_a_smaller_reader():
    card = selected(Echo(times=30))
    frame(card, "e000")  # 16 bytes
    assert frame(card, "0255") == "12" + "55" * 13


def test_waiting_time_extension():
    card = activated(Echo())
    card.protocol.extra_waits = 2
    assert frame(card, "0201") == "f201"
    assert frame(card, "f201") == "f201"
    assert frame(card, "f201") == "0201"
    assert frame(card, "f201") is None


def test_card_identifier():
    card = selected(Echo())
    frame(card, "e051")
    assert frame(card, "0201") is None
    assert frame(card, "0a0201") is None
    assert frame(card, "0a0101") == "0a0101"
    card.times = 62
    assert frame(card, "0b0101") == "1b01" + "01" * 60  # 64 bytes with its checksum
    assert frame(card, "ca01") == "ca01"


def test_deselected_card_starts_afresh():
    card = activated(Echo())
    frame(card, "0201")
    assert frame(card, "c2") == "c2"
    assert frame(card, "0302") is None
    assert short(card, 0x26) is None
    assert short(card, 0x52) == card.atqa


@pytest.mark.parametrize("text", ["", "0a", "e2", "42ff", "f201", "d2"])
def test_nonsense_is_not_answered(text):
    card = activated(Echo())
    assert frame(card, text) is None if text else card.receive(b"", 0) is None
    assert frame(card, "0201") == "0201"


# --- the reader's half


class Air(Radio):
    """A radio that loses and spoils frames in both directions as a seeded generator says."""

    def __init__(self, seed=0, trouble=0.0):
        super().__init__(Faults(), lambda: None)
        self._random = random.Random(seed)
        self._trouble = trouble
        self.switch(True)

    def exchange(self, inner, timeout_us):
        if self._random.random() < self._trouble:
            yield timeout_us
            raise RadioError(TIMEOUT)
        answer = yield from super().exchange(inner, timeout_us)
        if self._random.random() < self._trouble:
            raise RadioError(TIMEOUT)
        return answer


def finish(generator):
    """Run a generator of waits to its end: its result."""
    try:
        while True:
            next(generator)
    except StopIteration as end:
        return end.value


def reader_of(card, air=None):
    air = air or Air()
    air.put(card)
    trouble, air._trouble = air._trouble, 0
    finish(air.select_any())
    ats = finish(isodep_reader.activate(air))
    air._trouble = trouble
    return isodep_reader.ReaderProtocol(air, ats)


def exchange(reader, command):
    answer = finish(reader.send(command, True))
    while reader.has_more:
        answer += finish(reader.next_part())
    return answer


def test_reader_and_card_exchange_long_commands():
    card = Echo(times=2)
    reader = reader_of(card)
    for length in (0, 1, 60, 61, 62, 122, 123, 300):
        command = bytes(i & 255 for i in range(length))
        assert exchange(reader, command) == command * 2


def test_reader_grants_waiting_time():
    card = Echo()
    reader = reader_of(card)
    card.protocol.extra_waits = 3
    assert exchange(reader, b"abc") == b"abc"


@pytest.mark.parametrize("seed", range(40))
def test_every_command_is_run_at_most_once_over_bad_air(seed):
    """Whatever is lost: an answer means that the command was run, once; without one it was run once or not at all."""
    card = Echo(times=3)
    reader = reader_of(card, Air(seed, 0.12))
    for i in range(30):
        command = bytes([i]) * (1 + 7 * i)
        before = list(card.commands)
        try:
            assert exchange(reader, command) == command * 3
        except RadioError:
            assert card.commands in (before, [*before, command])
            return
        assert card.commands == [*before, command]


def test_presence_and_deselection_through_the_reader():
    card = Echo()
    reader = reader_of(card)
    assert exchange(reader, b"x") == b"x"
    assert finish(reader.is_there())
    assert exchange(reader, b"y") == b"y"
    finish(reader.deselect())
    assert not finish(reader.is_there())


# --- several cards on the air


def test_anticollision_finds_every_card():
    air = Air()
    cards = [Echo(bytes.fromhex(uid)) for uid in ("04112233445566", "04112233445567", "04912233445566")]
    for card in cards:
        air.put(card)
    found = set()
    for _ in cards:
        _, sak, uid = finish(air.select_any())
        assert sak == 0x20
        finish(isodep_reader.activate(air, len(found) + 1))
        found.add(uid)
    assert found == {card.uid for card in cards}
    with pytest.raises(RadioError):
        finish(air.select_any())


def test_one_of_two_cards_is_chosen_by_its_uid():
    air = Air()
    air.put(Echo())
    air.put(CardA(bytes.fromhex("DEADBEEF")))
    assert finish(air.select_uid(bytes.fromhex("DEADBEEF")))[1:] == (0x08, bytes.fromhex("DEADBEEF"))


def test_two_answers_at_once_collide():
    air = Air()
    for last in (1, 2):
        air.put(CardA(bytes([1, 2, 3, last])))
    finish(air.request(0x26))
    with pytest.raises(RadioError) as caught:
        finish(air.exchange_raw(b"\x93\x20", 16, 1000))
    assert caught.value.status == COLLISION
