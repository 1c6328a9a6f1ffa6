"""The virtual PN532 over its serial line, in virtual time: frames, power, rates, each command, and every fault."""

import json

import pytest

from kassette_host.cards.ev1_client import Ev1Client
from kassette_host.cards.ev1_crypto import PLAIN
from kassette_host.sim.timeline import Port, Timeline
from kassette_host.virtual import hsu
from kassette_host.virtual.desfire import CardA, DesfireCard, Type4ACard
from kassette_host.virtual.faults import TO_CHIP, TO_HOST
from kassette_host.virtual.hsu import ACK, ERROR, NACK
from kassette_host.virtual.pn532 import VirtualPN532

UID = bytes.fromhex("04112233445566")
OTHER_UID = bytes.fromhex("04AABBCCDDEEFF")
WAKE_UP = b"\x55\x55" + bytes(14)
TARGET = "010344200704112233445566067577810280"  # as InListPassiveTarget describes our card


class Bench:
    """A host with a cable: writes, collects, and lets time pass."""

    def __init__(self, *cards, is_awake=True):
        self.time = Timeline()
        self.heard = bytearray()
        self.arrived_us = []
        self.chip = VirtualPN532(Port(self.time, self._hear))
        for card in cards:
            self.chip.put(card)
        if is_awake:
            self.chip.receive(WAKE_UP)
            assert self.ask("1401") == ""
            self.chip.set_host_baud(115200)

    def _hear(self, data):
        self.heard += data
        self.arrived_us.append(self.time.now_us)

    def run(self, ms=3000):
        """Run everything that is due within `ms`; what was heard."""
        end = self.time.now_us + ms * 1000
        while True:
            due = self.time.next_us()
            if due is None or due > end:
                break
            self.time.run_next()
        self.time.advance(end)
        heard = bytes(self.heard)
        self.heard.clear()
        return heard

    def raw(self, data, ms=3000):
        self.chip.receive(data)
        return self.run(ms)

    def command(self, text):
        return hsu.build(b"\xd4" + bytes.fromhex(text))

    def ask(self, text, ms=3000):
        """A command in hex; the data of its answer in hex, or None when none came."""
        heard = self.raw(self.command(text), ms)
        assert heard.startswith(ACK), heard.hex()
        answer = heard[6:]
        if not answer:
            return None
        assert answer == hsu.build(data_of(answer)), answer.hex()
        code = bytes.fromhex(text)[0]
        assert data_of(answer)[:2] == bytes([0xD5, code + 1])
        return data_of(answer)[2:].hex()

    def transceive(self, frame):
        """A native frame to card 1, as `Ev1Client` wants it."""
        answer = bytes.fromhex(self.ask("4001" + frame.hex()))
        assert answer[0] == 0, answer.hex()
        return answer[1:]


def data_of(frame):
    return frame[8:-2] if frame[3:5] == b"\xff\xff" else frame[5:-2]


def purse():
    return DesfireCard(UID)


# --- frames


@pytest.mark.parametrize("name", ["pn532_libnfc_frames", "pn532_nfcpy_frames"])
def test_every_recorded_frame_is_found_in_a_stream_and_made_again(name):
    with open("tests/vectors/%s.json" % name) as file:
        rows = json.load(file)["frames"]
    frames = [bytes.fromhex(row["frame"] if isinstance(row, dict) else row) for row in rows]
    commands = [b"\0\0" + frame.lstrip(b"\0") for frame in frames if b"\xd4" in frame]  # nfcpy leads with more zeros
    reader = hsu.FrameReader()
    found = [reader.feed(byte) for byte in b"\x12\x00\x34".join(frames)]
    assert [hsu.build(frame) for frame in found if frame] == commands


@pytest.mark.parametrize("length", [2, 100, 254, 255, 256, 264])
def test_frames_of_every_length(length):
    reader = hsu.FrameReader()
    data = b"\xd4" + bytes(i & 255 for i in range(length - 1))
    assert [got for got in map(reader.feed, hsu.build(data)) if got] == [data]


@pytest.mark.parametrize(
    "noise",
    ["", "00", "0000", "FF", "00FF", "0000FF", "0000FF05", "0000FF0505", "00FF00", "55AA00FF0203", "0000FFFFFF0203"],
)
def test_a_frame_is_found_behind_garbage(noise):
    bench = Bench()
    bench.raw(bytes.fromhex(noise))
    assert bench.raw(bench.command("02") + bench.command("02")).endswith(bytes.fromhex("D50332010607E800"))


@pytest.mark.parametrize(
    "bad",
    [
        "0000FF02FED4022B00",  # DCS
        "0000FF02FFD4022A00",  # LCS
        "0000FF02FED5022900",  # a frame of the other direction
        "0000FFFFFF0002FFD4022A00",  # LCS of an extended frame
        "0000FFFFFFFFFF02",  # a length beyond all frames
        "0000FF01FFD42C00",  # no command in it
    ],
)
def test_a_bad_frame_is_not_answered(bad):
    bench = Bench()
    assert bench.raw(bytes.fromhex(bad)) == b""
    assert bench.ask("02") == "32010607"


def test_unknown_command_is_acknowledged_and_refused():
    bench = Bench()
    assert bench.raw(bench.command("99")) == ACK + ERROR


@pytest.mark.parametrize(
    "text",
    [
        "00",
        "0003",
        "0201",
        "06",
        "0663",
        "08633D",
        "08633D0163",
        "1009",
        "10",
        "12",
        "14",
        "1405",
        "16",
        "32",
        "3299",
        "320501",
    ]
    + ["40", "44", "4A", "4A0300", "4A0105", "4A0000", "4E0103", "4E010001", "52", "54", "0E01"],
)
def test_malformed_commands_are_refused(text):
    bench = Bench()
    assert bench.raw(bench.command(text)) == ACK + ERROR
    assert bench.ask("02") == "32010607"


def test_nack_repeats_the_last_answer():
    bench = Bench()
    assert bench.raw(NACK) == hsu.build(b"\xd5\x15")
    bench.ask("02")
    assert bench.raw(NACK) == bench.raw(NACK) == hsu.build(bytes.fromhex("D50332010607"))


def test_host_ack_ends_a_command_without_answer():
    bench = Bench()
    bench.chip.receive(bench.command("0001"))  # ROM test: 50 ms
    assert bench.run(10) == ACK
    assert bench.raw(ACK) == b""
    assert bench.ask("02") == "32010607"


def test_a_new_command_replaces_the_running_one():
    bench = Bench()
    bench.chip.receive(bench.command("0001"))
    bench.run(10)
    assert bench.raw(bench.command("02")) == ACK + hsu.build(bytes.fromhex("D50332010607"))


# --- power and rates


def test_asleep_after_power_up_until_the_line_has_moved_enough():
    bench = Bench(is_awake=False)
    assert bench.raw(bench.command("02")[3:5]) == b""
    bench = Bench(is_awake=False)
    assert bench.raw(WAKE_UP + bench.command("1401")) == ACK + hsu.build(b"\xd5\x15")


def test_ten_zeros_wake_it_as_nfcpy_relies_on():
    bench = Bench(is_awake=False)
    assert bench.raw(bytes(10) + bench.command("02")).startswith(ACK)
    bench = Bench(is_awake=False)
    assert bench.raw(bytes(3) + bench.command("02")) == b""


def test_power_down_and_wake_by_the_line_or_not_at_all():
    bench = Bench()
    assert bench.ask("1610") == "00"
    assert bench.raw(bench.command("02")) == b""
    bench.raw(WAKE_UP)
    assert bench.ask("02") == "32010607"
    assert bench.ask("1602") == "00"
    assert bench.raw(WAKE_UP + bench.command("02")) == b""
    bench.chip.power_cycle()
    assert bench.raw(WAKE_UP + bench.command("02")).startswith(ACK)


def test_power_off_ends_everything_at_once():
    card = purse()
    bench = Bench(card)
    bench.ask("4A0100")
    bench.chip.receive(bench.command("400160"))
    bench.run(2)
    bench.chip.power_off()
    assert bench.run() == b""
    assert bench.time.next_us() is None
    assert card.protocol is None
    assert bench.raw(WAKE_UP + bench.command("02")) == b""
    bench.chip.power_cycle()
    assert bench.raw(WAKE_UP + bench.command("02")).startswith(ACK)


@pytest.mark.parametrize(("code", "rate"), list(enumerate(hsu.RATES)))
def test_rate_changes_after_the_hosts_ack(code, rate):
    bench = Bench()
    assert bench.ask("10%02x" % code) == ""
    assert bench.chip.baud == 115200
    bench.raw(ACK)
    assert bench.chip.baud == rate
    bench.chip.set_host_baud(rate)
    started = bench.time.now_us
    assert bench.ask("02") == "32010607"
    byte_us = 10_000_000 / rate
    least_us = 60 + max(6 * byte_us, 500)  # the chip thinks while its ACK is on the line
    assert bench.arrived_us[-1] - started == pytest.approx((8 + 13) * byte_us + least_us, abs=5)
    bench.chip.power_cycle()
    assert bench.chip.baud == 115200


def test_without_the_ack_the_rate_stays():
    bench = Bench()
    bench.ask("1005")
    assert bench.ask("02") == "32010607"
    bench.raw(ACK)
    assert bench.chip.baud == 115200


@pytest.mark.parametrize("rate", [9600, 57600, 230400, 921600])
def test_at_the_wrong_rate_both_sides_hear_garbage(rate):
    bench = Bench()
    bench.chip.set_host_baud(rate)
    assert bench.raw(bench.command("02")) == b""
    bench.chip.set_host_baud(115200)
    bench.raw(ACK)
    bench.chip.receive(bench.command("02"))
    bench.chip.set_host_baud(rate)
    assert ACK not in bench.run()


def test_what_a_wrong_rate_makes_of_bytes():
    assert hsu.at_other_rate(b"U\x00\xff", 115200, 115200) == b"U\x00\xff"
    assert hsu.at_other_rate(b"\x00", 9600, 115200) == b"\x00"  # a break, and one framing error
    assert hsu.at_other_rate(b"\x00", 115200, 9600) == b"\xff"  # hardly a start bit, then the idle line
    assert hsu.at_other_rate(b"\x0f", 230400, 115200) == b"\xf9"  # every second bit: 1 0 0, the stop bit, idle


# --- commands to the chip itself


def test_the_chip_says_who_it_is():
    assert Bench().ask("02") == "32010607"


def test_diagnose():
    bench = Bench()
    assert bench.ask("00006b6173") == "006b6173"
    line = "00" + "00" + bytes(i & 255 for i in range(261)).hex()
    assert bench.ask(line) == line[2:]
    assert bench.ask("0001") == bench.ask("0002") == "00"
    assert bench.ask("0006") == "27"


def test_presence_by_diagnose():
    card = purse()
    bench = Bench(card)
    bench.ask("4A0100")
    assert bench.ask("0006") == "00"
    bench.chip.take(card)
    assert bench.ask("0006") == "01"


def test_registers_keep_what_is_written():
    bench = Bench()
    assert bench.ask("08633D07630201") == ""
    assert bench.ask("06633D63026331") == "070100"


def test_settings_are_accepted():
    bench = Bench()
    for text in ("1214", "32020 00B0A", "320400", "3205010002", "320A" + "00" * 11, "320B" + "00" * 8, "0E0000"):
        assert bench.ask(text.replace(" ", "")) == ""
    assert bench.ask("0C") == "3f0600"


def test_general_status_counts_targets():
    bench = Bench(purse())
    assert bench.ask("04") == "00000000"
    bench.ask("4A0100")
    assert bench.ask("04") == "0001010100001000"


# --- cards


def test_one_card_is_found_and_activated():
    bench = Bench(purse())
    bench.ask("320101")
    started = bench.time.now_us
    assert bench.ask("4A0100") == "01" + TARGET
    line_us = (10 + 28) * 10_000_000 / 115200
    assert bench.arrived_us[-1] - started - line_us == pytest.approx(
        7500, abs=1000
    )  # of it 6 ms from REQA to ATS, as real ones


def test_without_automatic_rats_there_is_no_ats():
    bench = Bench(purse())
    bench.ask("1200")
    assert bench.ask("4A0100") == "01" + TARGET[:-12]


def test_two_cards_are_both_found():
    bench = Bench(purse(), DesfireCard(OTHER_UID))
    found = bench.ask("4A0200")
    assert found[:2] == "02"
    assert UID.hex() in found
    assert OTHER_UID.hex() in found
    assert bench.ask("400160")[:4] == bench.ask("400260")[:4] == "00af"


def test_one_of_two_cards_when_one_is_asked_for():
    found = Bench(purse(), DesfireCard(OTHER_UID)).ask("4A0100")
    assert found[:2] == "01"


def test_a_card_without_iso_dep_is_described_without_ats():
    card = CardA(bytes.fromhex("DEADBEEF"))
    bench = Bench(card)
    assert bench.ask("4A0100") == "0101000408" + "04deadbeef"
    card.answer = lambda inner: inner[::-1]
    assert bench.ask("40013001") == "000130"
    del card.answer
    assert bench.ask("40013000") == "01"


def test_other_kinds_of_cards_are_not_there():
    bench = Bench(purse())
    bench.ask("3205000101")
    for kind in ("4A010100FFFF0000", "4A010300", "4A0104"):
        assert bench.ask(kind) == "00"


def test_endless_search_ends_with_a_card_or_the_hosts_ack():
    bench = Bench()
    assert bench.ask("4A0100", ms=3_600_000) is None
    bench.chip.put(purse())
    assert data_of(bench.run())[2:].hex() == "01" + TARGET
    bench.chip.take(bench.chip.field[0])
    assert bench.ask("4A0100") is None
    bench.raw(ACK)
    bench.chip.put(purse())
    assert bench.run() == b""


def test_an_empty_field_costs_no_events():
    bench = Bench()
    bench.chip.receive(bench.command("4A0100"))
    bench.run()
    assert bench.time.next_us() is None


@pytest.mark.parametrize("tries", [0, 1, 20, 254])
def test_limited_search_gives_up_in_time(tries):
    bench = Bench()
    bench.ask("32050101%02x" % tries)
    bench.ask("320101")
    started = bench.time.now_us
    assert bench.ask("4A0100", ms=5000) == "00"
    assert bench.arrived_us[-1] - started == pytest.approx(3600 * (tries + 1), abs=4000)


def test_a_card_that_comes_during_a_limited_search_is_found():
    bench = Bench()
    bench.ask("32050101F0")
    bench.chip.receive(bench.command("4A0100"))
    bench.run(200)
    bench.chip.put(purse())
    assert data_of(bench.run(30))[2:].hex() == "01" + TARGET


def test_an_active_card_is_found_again_only_after_the_field_was_off():
    bench = Bench(purse())
    bench.ask("3205010101")
    assert bench.ask("4A0100") == "01" + TARGET
    assert bench.ask("5201") == "00"
    assert bench.ask("4A0100") == "00"  # halted
    assert bench.ask("4A0100" + "88" + UID.hex()) == "01" + TARGET  # but it hears its name
    assert bench.ask("4A0100") == "00"  # in a session, deaf for requests
    bench.ask("320100")
    assert bench.ask("4A0100") == "01" + TARGET


def test_deselect_select_release():
    bench = Bench(purse())
    assert bench.ask("4400") == bench.ask("5200") == "00"
    assert bench.ask("5401") == "27"
    bench.ask("4A0100")
    assert bench.ask("4401") == "00"
    assert bench.ask("400160") == "27"
    assert bench.ask("5401") == "00"
    assert bench.ask("400160")[:4] == "00af"
    assert bench.ask("5201") == "00"
    assert bench.ask("400160") == bench.ask("5401") == "27"
    bench.ask("320100")
    bench.ask("4A0100")
    assert bench.ask("4400") == "00"  # all of them
    assert bench.ask("400160") == "27"


def test_exchange_needs_a_target():
    bench = Bench()
    assert bench.ask("400160") == "27"
    assert bench.ask("4E010101") == "27"


class Long(Type4ACard):
    """Answers a command with 700 bytes, and says in the first how long the command was, modulo 256."""

    def execute(self, command):
        return bytes([len(command) & 255]) + bytes(i & 255 for i in range(699))


def test_long_answers_come_in_parts_with_more_information():
    bench = Bench(Long(UID))
    bench.ask("4A0100")
    got, status = b"", "40"
    for text in ("400160", "4001", "4001"):
        assert status == "40"
        answer = bench.ask(text)
        status, got = answer[:2], got + bytes.fromhex(answer[2:])
    assert status == "00"
    assert got == Long(UID).execute(b"\x60")


def test_long_commands_are_chained_by_the_host_and_by_the_chip():
    bench = Bench(Long(UID))
    bench.ask("4A0100")
    assert bench.ask("4041" + "11" * 200) == "00"
    assert bench.ask("4001" + "22" * 77)[:4] == "40" + "15"  # 277 bytes


def test_a_whole_session_at_each_radio_rate():
    for rate in range(3):
        bench = Bench(purse())
        bench.ask("4A0100")
        told = []
        bench.chip.on_card_frame = lambda direction, frame, told=told: told.append(frame.hex())
        assert bench.ask("4E01%02x%02x" % (rate, rate)) == "00"
        assert told == ["d011%02x" % (5 * rate), "d0"]
        client = Ev1Client(bench.transceive)
        assert client.read(0x60, b"", 28, PLAIN)[14:21] == UID
        started = bench.time.now_us
        bench.ask("400160")
        line, air = (10 + 18) * 10_000_000 / 115200, 85 * (4 + 11) / 2**rate
        assert bench.arrived_us[-1] - started == pytest.approx(line + air + 560 + 86 + 800, abs=5)
        bench.ask("320100")
        assert bench.chip.radio.rate == 0
    assert bench.ask("4E010202") == "27"


def test_communicate_thru_leaves_the_protocol_to_the_host():
    bench = Bench(purse())
    bench.ask("1200")
    bench.ask("4A0100")
    assert bench.ask("42E050") == "00067577810280"
    assert bench.ask("420260") == "0002af04010101001805"
    assert bench.ask("42B2") == "0002af04010101001805"
    assert bench.ask("42C2") == "00c2"
    assert bench.ask("420260") == "01"


def test_communicate_thru_with_bits_and_checksums_of_the_host():
    """What nfc-anticol does: seven bits, no checksums."""
    bench = Bench(purse())
    bench.ask("320101")
    bench.ask("08630200" + "630300" + "633D07")
    assert bench.ask("4226") == "004403"
    bench.ask("08633D00")
    assert bench.ask("429320") == "0088041122bf"
    bench.ask("08630380" + "630200")
    assert bench.ask("429320") == "02"  # the answer has no checksum, and the chip misses it


def test_communicate_thru_waits_as_long_as_told_and_tries_again():
    bench = Bench()
    bench.ask("320101")
    times = []
    for retries, code in ((0, 1), (0, 10), (2, 10)):
        bench.ask("3204%02x" % retries)
        bench.ask("3202000B%02x" % code)
        started = bench.time.now_us
        assert bench.ask("420260") == "01"
        times.append(bench.arrived_us[-1] - started)
    assert times[1] - times[0] == pytest.approx(51_200 - 100, abs=10)
    assert times[2] - times[1] == pytest.approx(2 * 51_200, abs=2000)


def test_type_b_framing_is_not_heard_by_our_cards():
    bench = Bench(purse())
    bench.ask("320101")
    bench.ask("08630283")
    assert bench.ask("42050008") == "01"


# --- time


def test_selecting_takes_the_time_that_it_takes():
    bench = Bench(purse())
    bench.ask("4A0100")
    started = bench.time.now_us
    bench.ask("40015A000000")
    took = bench.arrived_us[-1] - started
    line = (13 + 11) * 10_000_000 / 115200  # the command's postamble is not waited for
    air = 85 * (7 + 4)
    assert took == pytest.approx(line + air + 770 + 86 + 560, abs=5)


def test_a_card_that_asks_for_time_gets_it():
    card = purse()
    bench = Bench(card)
    bench.ask("4A0100")
    card.protocol.extra_waits = 3
    assert bench.ask("400160")[:4] == "00af"


# --- faults


def test_a_card_taken_away_costs_a_bounded_wait():
    card = purse()
    bench = Bench(card)
    bench.ask("4A0100")
    bench.chip.take(card)
    started = bench.time.now_us
    assert bench.ask("400160") == "01"
    waits = 3 * (4096 * 256 / 13.56 + 3624)  # the card's own waiting time, and two repetitions
    assert bench.arrived_us[-1] - started == pytest.approx(waits, abs=5000)


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_card_leaves_around_the_commit(when):
    card = purse()
    bench = Bench(card)
    bench.ask("4A0100")
    client = Ev1Client(bench.transceive)
    client.command(0xCA, b"KST\x0f\x82")
    client.select(b"KST")
    client.command(0xCB, b"\x01\x00\xee\xee\x04\0\0")
    client.command(0x3D, b"\x01\0\0\0\x04\0\0abcd")
    faults = bench.chip.faults
    (faults.leave_before if when == "before" else faults.leave_after)(code=0xC7)
    assert bench.ask("4001C7") == "01"
    assert bench.chip.field == []
    assert bytes(card.applications[b"KST"].files[1].data) == (b"\0\0\0\0" if when == "before" else b"abcd")


def test_leaving_is_counted_in_commands():
    bench = Bench(purse())
    bench.ask("4A0100")
    bench.chip.faults.leave_after(3)
    answers = [bench.ask("4001" + code) for code in ("60", "AF", "AF", "60")]
    assert [answer[:4] for answer in answers] == ["00af", "00af", "01", "01"]


@pytest.mark.parametrize(("most", "command"), [("01", "60"), ("02", "60"), ("01", "9060000000"), ("02", "9060000000")])
def test_leaving_knows_a_command_in_every_clothing(most, command):
    """Native and wrapped, with and without the card identifier that two possible cards bring."""
    bench = Bench(purse())
    bench.ask("4A%s00" % most)
    bench.chip.faults.leave_before(code=0x60)
    assert bench.ask("40016E")[:2] == "00"
    assert bench.ask("4001" + command) == "01"
    assert bench.chip.field == []


def test_a_card_put_back_at_once_has_forgotten_all():
    card = purse()
    bench = Bench(card)
    bench.ask("4A0100")
    bench.chip.receive(bench.command("400160"))
    bench.run(3)
    bench.chip.take(card)
    bench.chip.put(card)
    assert data_of(bench.run())[2:] == b"\x01"


def test_a_spoiled_answer_is_asked_for_again_by_the_chip():
    card = purse()
    bench = Bench(card)
    bench.ask("4A0100")
    bench.chip.faults.spoil_answer()
    assert bench.ask("400160") == "00af04010101001805"
    assert bench.ask("4001AF") == "00af04010101041805"


def test_a_spoiled_answer_is_a_checksum_error_when_the_host_does_the_protocol():
    bench = Bench(purse())
    bench.ask("1200")
    bench.ask("4A0100")
    bench.ask("42E050")
    bench.chip.faults.spoil_answer(2)
    assert bench.ask("420260")[:2] == "00"
    assert bench.ask("4203AF") == "02"


def test_a_silent_chip():
    bench = Bench()
    bench.chip.faults.silent = True
    assert bench.raw(WAKE_UP + bench.command("02")) == b""
    bench.chip.faults.silent = False
    assert bench.ask("02") == "32010607"


def test_bytes_lost_turned_and_inserted_on_the_way_to_the_chip():
    bench = Bench()
    command = bench.command("02")
    for at in range(1, 9):
        bench.chip.faults.lose(TO_CHIP, at)
        heard = bench.raw(command)
        assert (heard != b"") == (at in (1, 2)), at  # one of the two leading zeros may be missing
        assert bench.raw(ACK + ACK) == b""
        assert bench.ask("02") == "32010607"
    for at in range(4, 9):
        bench.chip.faults.corrupt(TO_CHIP, at, 0x10)
        assert bench.raw(command) == b""
        assert bench.raw(ACK + ACK) == b""
    bench.chip.faults.insert(TO_CHIP, 1, b"noise\x00")
    assert bench.ask("02") == "32010607"


def test_bytes_lost_turned_and_inserted_on_the_way_to_the_host():
    bench = Bench()
    whole = ACK + hsu.build(bytes.fromhex("D50332010607"))
    for at in range(1, len(whole) + 1):
        bench.chip.faults.lose(TO_HOST, at)
        assert bench.raw(bench.command("02")) == whole[: at - 1] + whole[at:]
        bench.chip.faults.corrupt(TO_HOST, at, 0x80)
        heard = bench.raw(bench.command("02"))
        assert [a ^ b for a, b in zip(heard, whole)] == [0x80 * (i + 1 == at) for i in range(len(whole))]
    bench.chip.faults.insert(TO_HOST, 7, b"zz")
    assert bench.raw(bench.command("02")) == whole[:6] + b"zz" + whole[6:]
    assert bench.raw(NACK) == whole[6:]


# --- what the simulator sees


def test_card_frames_are_told_before_and_after_the_card_acts():
    card = purse()
    bench = Bench(card)
    seen = []
    bench.chip.on_card_frame = lambda direction, frame: seen.append((direction, frame.hex()))
    bench.ask("4A0100")
    bench.ask("400160")
    assert seen[:4] == [(">", "26"), ("<", "4403"), (">", "9320"), ("<", "88041122bf")]
    assert seen[-2:] == [(">", "0260"), ("<", "02af04010101001805")]
    assert [direction for direction, _ in seen] == [">", "<"] * (len(seen) // 2)
    bench.chip.take(card)
    seen.clear()
    bench.ask("400160")
    assert seen == []


class Cut(Exception):
    """The plug is pulled."""


@pytest.mark.parametrize(("direction", "is_committed"), [(">", False), ("<", True)])
def test_a_cut_at_a_card_frame_falls_before_or_after_what_the_card_does(direction, is_committed):
    card = purse()
    bench = Bench(card)
    bench.ask("4A0100")
    client = Ev1Client(bench.transceive)
    client.command(0xCA, b"KST\x0f\x82")
    client.select(b"KST")
    client.command(0xCB, b"\x01\x00\xee\xee\x04\0\0")
    client.command(0x3D, b"\x01\0\0\0\x04\0\0abcd")

    def cut(seen, frame):
        if seen == direction:
            raise Cut

    bench.chip.on_card_frame = cut
    bench.chip.receive(bench.command("4001C7"))
    with pytest.raises(Cut):
        bench.run()
    bench.chip.power_off()
    assert (bytes(card.applications[b"KST"].files[1].data) == b"abcd") is is_committed
    bench.chip.on_card_frame = lambda direction, frame: None
    bench.chip.power_cycle()
    bench.raw(WAKE_UP)
    assert bench.ask("1401") == ""
    assert bench.ask("4A0100") == "01" + TARGET


def test_commands_are_told_to_whoever_counts_them():
    bench = Bench()
    seen = []
    bench.chip.on_command = lambda command: seen.append(command.hex())
    bench.ask("02")
    bench.raw(b"\x00\xff\x00garbage")
    assert seen == ["d402"]
