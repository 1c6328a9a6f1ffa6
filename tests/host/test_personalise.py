"""The purse on the virtual card: personalised, credited and read by real commands; what each key may and may not."""

import json
import struct

import pytest

from kassette_host.cards.an10922 import PURSE_AID, diversify, purse_key
from kassette_host.cards.ev1_client import CardError, Ev1Client
from kassette_host.cards.ev1_crypto import AES, DES, ENCIPHERED, MACED
from kassette_host.cards.layout import CREDITED, DEBITED, PERSONALISED, Header, Record
from kassette_host.cards.personalise import RECORDS, credit, personalise, read_card
from kassette_host.virtual.desfire import DesfireCard, activate

UID = bytes.fromhex("04A1B2C3D4E5F6")
MASTERS = {number: bytes([0x50 + number]) * 16 for number in range(4)}
HEADER = Header(1, 2, 3, 0, 100_007, 1, 156, 2_082_758_400)
OPENING, TIME = 10_000, 1_790_000_000


@pytest.fixture
def card():
    card = DesfireCard(UID)
    personalise(activate(card), UID, MASTERS, HEADER, OPENING, TIME, order_number=77, overdraft_minor=500)
    return card


@pytest.mark.parametrize("row", json.load(open("tests/vectors/an10922_aes128.json"))["cases"], ids=lambda row: row["m"])
def test_an10922_vectors(row):
    derived = diversify(bytes.fromhex(row["key"]), bytes.fromhex(row["m"])).hex().upper()
    assert derived == row["derived"]
    assert derived != row.get("wrong_issue91")


def test_diversification_input_has_limits():
    with pytest.raises(ValueError, match="31"):
        diversify(bytes(16), bytes(32))
    assert len({purse_key(MASTERS[1], UID, no, version) for no in range(4) for version in range(3)}) == 12


def test_new_purse_holds_header_balance_and_record_0(card):
    contents = read_card(activate(card), UID, MASTERS)
    assert contents.header == HEADER
    assert contents.balance == OPENING
    assert contents.records == [Record(PERSONALISED, 0, 0, 77, 0, OPENING, OPENING, TIME)]


def test_files_and_rights_are_those_of_the_design(card):
    speak = activate(card)
    speak(b"\x5a" + PURSE_AID)
    assert speak(b"\x6f") == b"\0\1\2\3"
    assert speak(b"\xf5\x01") == bytes.fromhex("000101 2012 200000")
    limits = struct.pack("<iii", -500, 1_000_000, 0)
    assert speak(b"\xf5\x02") == bytes.fromhex("000201 201F") + limits + b"\0"  # limited credit is off
    assert speak(b"\xf5\x03") == bytes.fromhex("000403 2011 200000 0A0000 010000")
    assert [speak(bytes([0x64, number]))[1] for number in range(4)] == [1, 1, 1, 1]


def test_a_second_personalisation_is_refused(card):
    with pytest.raises(CardError) as caught:
        personalise(activate(card), UID, MASTERS, HEADER, OPENING, TIME)
    assert caught.value.status == 0xDE
    assert read_card(activate(card), UID, MASTERS).balance == OPENING


def test_no_key_is_the_factory_key_any_more(card):
    for number in range(4):
        client = Ev1Client(activate(card))
        client.select(PURSE_AID)
        with pytest.raises(CardError):
            client.authenticate(number, bytes(16))
        client.authenticate(number, purse_key(MASTERS[number], UID, number, 1))


def test_with_a_card_key_nobody_else_can_format_it():
    card = DesfireCard(UID)
    picc_key = bytes(range(16))
    personalise(activate(card), UID, MASTERS, HEADER, OPENING, TIME, picc_key=picc_key)
    client = Ev1Client(activate(card))
    with pytest.raises(CardError):
        client.authenticate(0, bytes(16), DES)
    with pytest.raises(CardError):
        client.command(0xFC)
    client.authenticate(0, picc_key, AES)
    client.command(0xFC)
    assert card.applications == {}


def test_credit_orders_are_executed_once(card):
    first = credit(activate(card), UID, MASTERS, 2_500, 900, TIME + 1)
    assert first == Record(CREDITED, 0, 0, 900, 1, 2_500, 12_500, TIME + 1)
    assert credit(activate(card), UID, MASTERS, 2_500, 900, TIME + 2) == first
    second = credit(activate(card), UID, MASTERS, 1, 901, TIME + 3)
    assert (second.card_seq, second.balance) == (2, 12_501)
    contents = read_card(activate(card), UID, MASTERS)
    assert contents.balance == 12_501
    assert contents.records[1:] == [first, second]


def test_credit_beyond_the_ceiling_changes_nothing(card):
    with pytest.raises(CardError) as caught:
        credit(activate(card), UID, MASTERS, 1_000_000, 900, TIME)
    assert caught.value.status == 0xBE
    assert read_card(activate(card), UID, MASTERS).balance == OPENING
    with pytest.raises(ValueError, match="more than nothing"):
        credit(activate(card), UID, MASTERS, 0, 900, TIME)


class Gone(Exception):
    """The card has left the field."""


@pytest.mark.parametrize("is_run", [False, True])
def test_a_credit_cut_at_any_exchange_is_finished_by_asking_again(is_run):
    """The card leaves before or after the n-th command: the order is executed once, whatever the terminal knows."""
    for nth in range(20):
        card = DesfireCard(UID)
        personalise(activate(card), UID, MASTERS, HEADER, OPENING, TIME)
        speak, count = activate(card), iter(range(100))

        def torn(frame, speak=speak, count=count, nth=nth):
            if next(count) == nth:
                if is_run:
                    speak(frame)
                raise Gone
            return speak(frame)

        try:
            credit(torn, UID, MASTERS, 300, 5, TIME)
            assert nth > 9
            return
        except Gone:
            credit(activate(card), UID, MASTERS, 300, 5, TIME)
        contents = read_card(activate(card), UID, MASTERS)
        assert contents.balance == OPENING + 300
        assert [record.serial for record in contents.records] == [0, 5]


def debit_session(card):
    client = Ev1Client(activate(card))
    client.select(PURSE_AID)
    client.authenticate(1, purse_key(MASTERS[1], UID, 1, 1))
    return client


def test_the_debit_key_debits_down_to_the_overdraft_with_a_record(card):
    client = debit_session(card)
    record = Record(DEBITED, 9, 1, 4, 1, OPENING + 500, -500, TIME, b"tag56")
    client.command(0xDC, b"\x02", struct.pack("<i", OPENING + 500), MACED)
    client.command(0x3B, b"\x03\0\0\0\x20\0\0", record.pack(), ENCIPHERED)
    client.command(0xC7)
    contents = read_card(activate(card), UID, MASTERS)
    assert contents.balance == -500
    assert contents.records[-1] == record
    with pytest.raises(CardError) as caught:
        debit_session(card).command(0xDC, b"\x02", struct.pack("<i", 1), MACED)
    assert caught.value.status == 0xBE


@pytest.mark.parametrize(
    ("code", "header", "data", "mode", "status"),
    [
        (0x0C, b"\x02", struct.pack("<i", 1), MACED, 0xAE),  # Credit
        (0x1C, b"\x02", struct.pack("<i", 1), MACED, 0xAE),  # LimitedCredit
        (0x3D, b"\x01\0\0\0\x20\0\0", bytes(32), MACED, 0xAE),  # the header
        (0xEB, b"\x03", b"", MACED, 0xAE),  # ClearRecordFile
        (0xDF, b"\x02", b"", MACED, 0xAE),  # DeleteFile
        (0x54, b"", b"\x0f", ENCIPHERED, 0xAE),  # ChangeKeySettings
    ],
)
def test_the_debit_key_can_do_nothing_else(card, code, header, data, mode, status):
    with pytest.raises(CardError) as caught:
        debit_session(card).command(code, header, data, mode)
    assert caught.value.status == status
    with pytest.raises(CardError):
        debit_session(card).change_key(2, bytes(16), 1, purse_key(MASTERS[2], UID, 2, 1))
    assert read_card(activate(card), UID, MASTERS).balance == OPENING


def test_the_record_file_keeps_the_last_transactions(card):
    for order in range(1, RECORDS + 3):
        credit(activate(card), UID, MASTERS, 1, order, TIME)
    contents = read_card(activate(card), UID, MASTERS)
    assert [record.card_seq for record in contents.records] == list(range(4, 13))
    assert contents.balance == OPENING + 12


def test_a_card_without_purse_says_so():
    with pytest.raises(CardError) as caught:
        read_card(activate(DesfireCard(UID)), UID, MASTERS)
    assert caught.value.status == 0xA0


def test_layout_is_32_bytes_each():
    record = Record(DEBITED | 0x80, 1, 2, 3, 4, 5, -6, 7, b"abcde")
    packed = "81 01000000 0200 03000000 04000000 05000000 FAFFFFFF 07000000" + b"abcde".hex()
    assert record.pack() == bytes.fromhex(packed)
    assert Record.unpack(record.pack()) == record
    assert HEADER.pack() == bytes.fromhex("01 02 03 00 A7860100 0100 9C00 005F247C") + bytes(16)
