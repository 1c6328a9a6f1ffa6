"""The virtual DESFire card against recorded traces of real ones, and the rules that a purse rests on."""

import json
import struct

import pytest

from kassette_host.cards.ev1_client import CardError, CardNotGenuine, Ev1Client
from kassette_host.cards.ev1_crypto import AES, DES, DES3, ENCIPHERED, MACED, PLAIN
from kassette_host.virtual.desfire import DesfireCard, activate
from kassette_host.virtual.desfire_card import Application
from kassette_host.virtual.desfire_files import DataFile

UID = bytes.fromhex("04112233445566")
AID = bytes.fromhex("4B5354")
ZERO = bytes(16)
OTHER = bytes(range(16))


def vectors(name):
    with open("tests/vectors/%s.json" % name) as file:
        return json.load(file)


def card_with(kind, keys, settings=0x0F):
    """A card with one application that has these keys, and a way to speak to it with that application selected."""
    card = DesfireCard(UID)
    application = Application(kind, settings, len(keys))
    application.keys = list(keys)
    card.applications[AID] = application
    speak = activate(card)
    assert speak(b"\x5a" + AID) == b"\0"
    return card, speak


def replay(card, nonce):
    card.random = lambda length: nonce[:length]


# --- recorded traces


@pytest.mark.parametrize("row", vectors("desfire_ev1_aes_auth")["sessions"], ids=lambda row: row["rnda"][:8])
def test_recorded_aes_authentication(row):
    keys = [bytes.fromhex(row["key"])] * 2
    card, speak = card_with(AES, keys)
    replay(card, bytes.fromhex(row["rndb"]))
    assert speak(bytes([0xAA, row["key_no"]])).hex().upper() == "AF" + row["rndb_enc"]
    assert speak(b"\xaf" + bytes.fromhex(row["rndab_enc"])).hex().upper() == "00" + row["rnda_enc"]
    assert card.session._cipher.key.hex().upper() == row["sesskey"]


@pytest.mark.parametrize("row", vectors("desfire_ev1_des_auth")["sessions"], ids=lambda row: row["rnda"][:8])
def test_recorded_des_authentication(row):
    kind = DES3 if row["type"] == "3K3DES" else DES
    card, speak = card_with(kind, [bytes.fromhex(row["key"])] * 2)
    replay(card, bytes.fromhex(row["rndb"]))
    assert speak(bytes([0x1A, row["key_no"]])).hex().upper() == "AF" + row["rndb_enc"]
    assert speak(b"\xaf" + bytes.fromhex(row["rndab_enc"])).hex().upper() == "00" + row["rnda_enc"]
    masked = bytes(byte & 0xFE for byte in card.session._cipher.key)
    assert masked.hex().upper() == row["sesskey"]


def authenticate_as_recorded(card, speak, index):
    row = vectors("desfire_ev1_aes_auth")["sessions"][index]
    replay(card, bytes.fromhex(row["rndb"]))
    speak(bytes([0xAA, row["key_no"]]))
    assert speak(b"\xaf" + bytes.fromhex(row["rndab_enc"]))[0] == 0
    return bytes.fromhex(row["key"])


def test_recorded_chain_of_commands():
    keys = [ZERO, bytes.fromhex("10182028303840485058606870788088")]
    card, speak = card_with(AES, keys)
    authenticate_as_recorded(card, speak, 4)
    steps = vectors("desfire_ev1_cmac")["chains"][1]["steps"]
    for sent, heard in zip(steps[::2], steps[1::2]):
        answer = speak(bytes.fromhex(sent["data"]))
        data = bytes.fromhex(heard["data"])  # data, then status, as the MAC covers them
        assert answer == data[-1:] + data[:-1] + bytes.fromhex(heard["cmac"])[:8], sent


def test_recorded_change_of_the_sessions_own_key():
    chain = vectors("desfire_ev1_cmac")["chains"][0]
    key = bytes.fromhex("10182028303840485058606870788088")
    card, speak = card_with(AES, [key])
    card.selected.versions[0] = 0x10
    authenticate_as_recorded(card, speak, 2)
    assert speak(b"\x64\x00").hex().upper() == "0010" + chain["steps"][1]["wire"]
    assert speak(b"\xc4\x00" + bytes.fromhex(chain["then_changekey"]["cryptogram"])) == b"\0"
    assert card.selected.keys[0] == ZERO
    assert card.session is None


def test_recorded_change_of_another_key():
    recorded = vectors("desfire_ev1_cmac")["changekey_other_key"]
    card, speak = card_with(AES, [ZERO, ZERO])
    authenticate_as_recorded(card, speak, 3)
    for step in recorded["steps"]:
        answer = speak(b"\xc4\x01" + bytes.fromhex(step["cryptogram"]))
        assert answer.hex().upper() == "00" + step["rx_cmac_of_00"][:16]
        assert card.selected.keys[1].hex().upper() == step["new_key"]
        assert card.selected.versions[1] == int(step["key_version"], 16)


# --- framing


def test_version_takes_three_frames_native_and_wrapped():
    speak = activate(DesfireCard(UID))
    assert speak(b"\x60") == bytes.fromhex("AF04010101001805")
    assert speak(b"\xaf") == bytes.fromhex("AF04010101041805")
    assert speak(b"\xaf")[:8] == b"\0" + UID
    assert speak(bytes.fromhex("9060000000")) == bytes.fromhex("0401010100180591AF")
    assert speak(bytes.fromhex("90AF000000"))[-2:] == bytes.fromhex("91AF")
    assert speak(bytes.fromhex("90AF000000"))[-2:] == bytes.fromhex("9100")


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ("905A00000300000000", "9100"),
        ("905A0000034B535400", "91A0"),
        ("", "7E"),
        ("AF", "1C"),  # nothing to continue
        ("99", "1C"),  # no such command
        ("5A4B53", "7E"),
        ("5A4B535400", "7E"),
        ("5A999999", "A0"),
        ("6400", "0000"),
        ("6401", "40"),
        ("AA00", "AE"),  # the card's own key is a DES key
        ("0A01", "40"),
        ("6F", "9D"),  # no files on the card's level
        ("F501", "9D"),
        ("C7", "0C"),
        ("51", "AE"),
        ("DA4B5354", "A0"),
        ("9060010000", "6A86"),
        ("905A0000044B535400", "6700"),
        ("00A4040007D2760000850100", "9000"),
        ("00A4040007D2760000850101", "6A82"),
        ("00B0000000", "6D00"),
        ("60" + 60 * "00", "7E"),
    ],
)
def test_status_of_bad_commands(sent, answer):
    assert activate(DesfireCard(UID))(bytes.fromhex(sent)).hex().upper() == answer


def test_another_command_in_mid_chain_is_aborted():
    speak = activate(DesfireCard(UID))
    assert speak(b"\x60")[0] == 0xAF
    assert speak(b"\x6e") == b"\xca"
    assert speak(b"\xaf") == b"\x1c"
    assert speak(b"\x6e")[0] == 0


# --- files


def files(comm, rights=0x1120):
    """A card with one file of each kind under keys 0 to 2, and a client in a session under key 1."""
    card, speak = card_with(AES, [ZERO, ZERO, OTHER], 0x0F)
    client = Ev1Client(speak)
    word = struct.pack("<BH", comm, rights)
    client.command(0xCD, b"\x01" + word + b"\x64\0\0")
    client.command(0xCB, b"\x02" + word + b"\x20\0\0")
    client.command(0xCC, b"\x03" + word + struct.pack("<iiiB", -50, 1000, 100, 0))
    client.command(0xC1, b"\x04" + word + b"\x20\0\0\x02\0\0")
    client.command(0xC0, b"\x05" + word + b"\x20\0\0\x04\0\0")
    client.authenticate(1, ZERO)
    return card, client, speak


def extent(number, at, length):
    return bytes([number]) + at.to_bytes(3, "little") + length.to_bytes(3, "little")


def refused(status, call, *arguments):
    with pytest.raises(CardError) as caught:
        call(*arguments)
    assert caught.value.status == status


@pytest.mark.parametrize("comm", [PLAIN, MACED, ENCIPHERED])
def test_data_in_each_mode_across_frames(comm):
    _, client, _ = files(comm)
    data = bytes(range(100))
    client.command(0x3D, extent(1, 0, 100), data, comm)
    assert client.read(0xBD, extent(1, 0, 0), 100, comm) == data
    assert client.read(0xBD, extent(1, 90, 10), 10, comm) == data[90:]
    assert client.read(0xBD, extent(1, 70, 0), 30, comm) == data[70:]  # length 0: up to the end
    refused(0xBE, client.read, 0xBD, extent(1, 90, 11), 11, comm)
    refused(0xAE, client.read, 0xBD, extent(1, 0, 1), 1, comm)  # an error has ended the session


@pytest.mark.parametrize("comm", [PLAIN, MACED, ENCIPHERED])
def test_a_transaction_is_all_or_nothing(comm):
    card, client, _ = files(comm)

    def write_everything():
        client.command(0x3D, extent(2, 4, 2), b"ab", comm)
        client.command(0xDC, b"\x03", struct.pack("<i", 30), comm)
        client.command(0x3B, extent(4, 0, 32), bytes(32), comm)
        client.command(0x3B, extent(5, 0, 32), b"r" * 32, comm)

    def valid():
        files = card.applications[AID].files
        return bytes(files[2].data[4:6]), files[3].value, len(files[4].records), len(files[5].records)

    before = (b"\0\0", 100, 0, 0)
    write_everything()
    assert client.read(0x6C, b"\x03", 4, comm) == struct.pack("<i", 100)
    assert valid() == before
    client.command(0xA7)
    refused(0x0C, client.command, 0xC7)
    client.authenticate(1, ZERO)
    write_everything()
    card.power_off()
    card.power_on()
    assert valid() == before
    client.select(AID)
    refused(0x0C, client.command, 0xC7)
    client.authenticate(1, ZERO)
    write_everything()
    client.select(AID)  # also forgets
    refused(0x0C, client.command, 0xC7)
    client.authenticate(1, ZERO)
    write_everything()
    client.authenticate(1, ZERO)  # does not
    client.command(0xC7)
    assert valid() == (b"ab", 70, 1, 1)


def test_value_boundaries():
    _, client, _ = files(MACED)

    def change(code, amount):
        client.authenticate(2 if code == 0x0C else 1, OTHER if code == 0x0C else ZERO)
        client.command(code, b"\x03", struct.pack("<i", amount), MACED)

    change(0xDC, 150)  # 100 down to -50 is just allowed
    refused(0xBE, change, 0xDC, 1)
    client.command(0xA7)
    refused(0xBE, change, 0xDC, 151)
    refused(0x9E, change, 0xDC, -1)
    refused(0x9D, change, 0x1C, 1)  # limited credit is off
    change(0x0C, 900)
    client.command(0xC7)
    refused(0xBE, change, 0x0C, 1)


def test_limited_credit_gives_back_what_the_last_debit_took():
    card, speak = card_with(AES, [ZERO, ZERO, OTHER])
    client = Ev1Client(speak)
    client.command(0xCC, b"\x03" + struct.pack("<BHiiiB", MACED, 0x1120, 0, 1000, 100, 1))

    def change(code, amount):
        client.authenticate(1, ZERO)
        client.command(code, b"\x03", struct.pack("<i", amount), MACED)

    refused(0xBE, change, 0x1C, 1)
    change(0xDC, 20)
    change(0xDC, 5)
    client.command(0xC7)
    assert card.applications[AID].files[3].limited == 25
    refused(0xBE, change, 0x1C, 26)
    change(0x1C, 10)
    client.command(0xC7)
    assert card.applications[AID].files[3].value == 85
    refused(0xBE, change, 0x1C, 1)


def test_cyclic_records_keep_one_less_than_their_number():
    _, client, _ = files(ENCIPHERED)
    for i in range(5):
        client.command(0x3B, extent(5, 0, 32), bytes([i]) * 32, ENCIPHERED)
        client.command(0xC7)
    newest = client.read(0xBB, extent(5, 0, 1), 32, ENCIPHERED)
    assert newest == b"\x04" * 32
    assert client.read(0xBB, extent(5, 0, 0), 96, ENCIPHERED)[::32] == b"\x02\x03\x04"
    assert client.read(0xBB, extent(5, 1, 2), 64, ENCIPHERED)[::32] == b"\x02\x03"
    assert client.read(0xF5, b"\x05", 13, PLAIN)[4:] == bytes.fromhex("200000040000030000")
    refused(0xBE, client.read, 0xBB, extent(5, 3, 1), 32, ENCIPHERED)


def test_linear_records_fill_up():
    _, client, _ = files(PLAIN)
    for _ in range(2):
        client.command(0x3B, extent(4, 0, 1), b"x")
        client.command(0xC7)
    refused(0xBE, client.command, 0x3B, extent(4, 0, 1), b"x")


def test_two_writes_of_one_transaction_make_one_record():
    card, client, _ = files(PLAIN)
    client.command(0x3B, extent(5, 0, 2), b"ab")
    client.command(0x3B, extent(5, 2, 2), b"cd")
    client.command(0xC7)
    assert card.applications[AID].files[5].records == [b"abcd" + bytes(28)]


def test_clearing_records_needs_the_key_for_both_and_the_commit():
    card, client, _ = files(PLAIN)
    client.command(0x3B, extent(5, 0, 1), b"x")
    client.command(0xC7)
    refused(0xAE, client.command, 0xEB, b"\x05")
    client.authenticate(2, OTHER)
    client.command(0xEB, b"\x05")
    assert len(card.applications[AID].files[5].records) == 1
    refused(0x9D, client.command, 0x3B, extent(5, 0, 1), b"x")
    client.command(0xC7)
    assert card.applications[AID].files[5].records == []
    client.authenticate(1, ZERO)
    refused(0xBE, client.read, 0xBB, extent(5, 0, 0), 0, PLAIN)


@pytest.mark.parametrize(
    ("rights", "key", "debit", "credit", "limited", "get"),
    [
        (0x1F20, 1, 0x00, 0xAE, 0xAE, 0x00),  # the purse's balance: the debit key debits, and nothing else
        (0x1F20, 2, 0x00, 0x00, 0x00, 0x00),
        (0x1F20, 0, 0xAE, 0xAE, 0xAE, 0xAE),
        (0xFFF0, 0, 0x9D, 0x9D, 0x9D, 0x9D),
        (0x2FF0, 1, 0xAE, 0x9D, 0x9D, 0xAE),
        (0xF1F0, 1, 0x00, 0x9D, 0x00, 0x00),
    ],
)
def test_rights_of_a_value_file(rights, key, debit, credit, limited, get):
    card, speak = card_with(AES, [ZERO, ZERO, ZERO])
    client = Ev1Client(speak)
    client.command(0xCC, b"\x03" + struct.pack("<BHiiiB", MACED, rights, 0, 1000, 100, 1))
    card.selected.files[3].limited = 10
    for code, wanted in ((0xDC, debit), (0x0C, credit), (0x1C, limited)):
        client.authenticate(key, ZERO)
        if wanted:
            refused(wanted, client.command, code, b"\x03", struct.pack("<i", 1), MACED)
        else:
            client.command(code, b"\x03", struct.pack("<i", 1), MACED)
    client.authenticate(key, ZERO)
    if get:
        refused(get, client.read, 0x6C, b"\x03", 4, MACED)
    else:
        assert client.read(0x6C, b"\x03", 4, MACED) == struct.pack("<i", 100)


def test_free_rights_are_plain_with_and_without_a_session():
    _, speak = card_with(AES, [ZERO, ZERO])
    client = Ev1Client(speak)
    client.command(0xCD, b"\x01" + struct.pack("<BH", ENCIPHERED, 0xEEE0) + b"\x04\0\0")
    assert speak(b"\x3d" + extent(1, 0, 4) + b"abcd") == b"\0"
    assert speak(b"\xbd" + extent(1, 0, 0)) == b"\0abcd"
    client.authenticate(1, ZERO)
    assert client.read(0xBD, extent(1, 0, 4), 4, MACED) == b"abcd"  # plain, but every answer of a session has a MAC


@pytest.mark.parametrize("comm", [MACED, ENCIPHERED])
def test_a_wrong_cryptogram_is_refused_and_changes_nothing(comm):
    card, client, speak = files(comm)

    def spoil(frame):
        if frame[0] == 0xDC:
            frame = frame[:-1] + bytes([frame[-1] ^ 1])
        return speak(frame)

    client._transceive = spoil
    refused(0x1E, client.command, 0xDC, b"\x03", struct.pack("<i", 1), comm)
    client._transceive = speak
    refused(0x0C, client.command, 0xC7)
    assert card.applications[AID].files[3].value == 100


def test_the_client_finds_a_wrong_answer():
    _, client, speak = files(MACED)
    client._transceive = lambda frame: speak(frame)[:-1] + b"\0"
    with pytest.raises(CardNotGenuine):
        client.read(0x6C, b"\x03", 4, MACED)


def test_length_of_a_write_must_fit_its_mode():
    _, client, speak = files(MACED)
    assert speak(b"\xdc\x03" + bytes(13)) == b"\x7e"
    client.authenticate(1, ZERO)
    assert speak(b"\xdc\x03" + bytes(11)) == b"\xaf"  # the card waits for the rest of the MAC
    assert speak(b"\xaf" + bytes(1)) == b"\x1e"


# --- keys, applications, memory


def test_a_wrong_key_fails_and_ends_the_session():
    _, client, _ = files(MACED)
    refused(0xAE, client.authenticate, 1, OTHER)
    refused(0xAE, client.read, 0x6C, b"\x03", 4, MACED)


def test_who_may_change_which_key():
    card, speak = card_with(AES, [ZERO] * 3, settings=0x10 | 0x0F)  # key 1 changes keys
    client = Ev1Client(speak)
    client.authenticate(2, ZERO)
    refused(0xAE, client.change_key, 2, OTHER, 1)
    client.authenticate(1, ZERO)
    client.change_key(2, OTHER, 7)
    assert card.selected.versions[2] == 7
    refused(0xAE, client.change_key, 1, OTHER, 1)
    client.authenticate(0, ZERO)
    client.change_key(1, OTHER, 1)
    refused(0x40, client.change_key, 3, OTHER, 1)
    client.authenticate(0, ZERO)
    card.selected.settings = 0xF0
    refused(0x9D, client.change_key, 2, ZERO, 1, OTHER)
    client.authenticate(0, ZERO)
    refused(0xAE, client.change_key, 0, OTHER, 1)  # the master key is frozen by bit 0


def test_key_settings_can_be_frozen():
    _, speak = card_with(AES, [ZERO])
    client = Ev1Client(speak)
    refused(0xAE, client.command, 0x54, b"", b"\x00", ENCIPHERED)
    client.authenticate(0, ZERO)
    client.command(0x54, b"", b"\x01", ENCIPHERED)
    assert client.read(0x45, b"", 2, PLAIN) == b"\x01\x81"
    refused(0x9D, client.command, 0x54, b"", b"\x0f", ENCIPHERED)
    refused(0xAE, client.read, 0x45, b"", 2, PLAIN)
    refused(0xAE, client.command, 0xCD, b"\x01" + struct.pack("<BH", 0, 0) + b"\x04\0\0")


def test_applications_come_and_go():
    card = DesfireCard(UID)
    client = Ev1Client(activate(card))
    client.command(0xCA, AID + b"\x0b\x82")
    refused(0xDE, client.command, 0xCA, AID + b"\x0b\x82")
    refused(0x9E, client.command, 0xCA, b"\1\2\3\x0b\xc2")
    assert client.read(0x6A, b"", 3, PLAIN) == AID
    refused(0xAE, client.command, 0xDA, AID)
    client.authenticate(0, ZERO, DES)
    assert client.read(0x51, b"", 7, ENCIPHERED) == UID
    client.command(0xDA, AID)
    client.command(0xCA, AID + b"\x0b\x82")
    client.command(0xFC)
    assert card.applications == {}
    for i in range(28):
        client.command(0xCA, bytes([1, 0, i]) + b"\x0b\x82")
    refused(0xCE, client.command, 0xCA, b"\2\2\2\x0b\x82")
    client.select(bytes(3))
    assert len(client.read(0x6A, b"", 84, PLAIN)) == 84


def test_names_of_applications_are_found_by_iso_select():
    card = DesfireCard(UID)
    speak = activate(card)
    assert speak(b"\xca" + AID + b"\x0b\x82\x01\xe1" + b"purse") == b"\0"
    assert speak(b"\xca" + b"\1\2\3" + b"\x0b\x82\x02\xe1" + b"other") == b"\0"
    assert speak(b"\x6d") == b"\xaf\1\2\3\x02\xe1other"
    assert speak(b"\xaf") == b"\0" + AID + b"\x01\xe1purse"
    assert speak(bytes.fromhex("00A4040005") + b"purse") == b"\x90\0"
    assert card.aid == AID


def test_memory_runs_out():
    _, speak = card_with(AES, [ZERO])
    client = Ev1Client(speak)
    free = int.from_bytes(client.read(0x6E, b"", 3, PLAIN), "little")
    assert free == 4864 - 32
    client.command(
        0xCB, b"\x01" + struct.pack("<BH", 0, 0) + (1024).to_bytes(3, "little")
    )  # a backup file counts twice
    assert int.from_bytes(client.read(0x6E, b"", 3, PLAIN), "little") == free - 2048
    refused(0x0E, client.command, 0xCD, b"\x02" + struct.pack("<BH", 0, 0) + (2785).to_bytes(3, "little"))
    client.command(0xCD, b"\x02" + struct.pack("<BH", 0, 0) + (2784).to_bytes(3, "little"))
    client.command(0xDF, b"\x01")
    assert int.from_bytes(client.read(0x6E, b"", 3, PLAIN), "little") == 2048


def test_files_may_have_iso_names():
    card, speak = card_with(AES, [ZERO])
    client = Ev1Client(speak)
    client.command(0xCD, b"\x01" + b"\x03\xe1" + struct.pack("<BH", PLAIN, 0xEEE0) + b"\x04\0\0")
    client.command(0xC1, b"\x02" + b"\x04\xe1" + struct.pack("<BH", PLAIN, 0xEEE0) + b"\x01\0\0\x01\0\0")
    client.command(0xCD, b"\x03" + struct.pack("<BH", PLAIN, 0xEEE0) + b"\x04\0\0")
    assert speak(b"\x61") == b"\0\x03\xe1\x04\xe1"
    assert speak(b"\xf5\x01") == bytes.fromhex("00 00 00 E0EE 040000")
    assert DesfireCard.from_state(card.to_state()).to_state() == card.to_state()


def test_creating_files_checks_what_it_is_told():
    _, speak = card_with(AES, [ZERO, ZERO])
    client = Ev1Client(speak)
    head = struct.pack("<BH", 0, 0x1111)
    client.command(0xCD, b"\x01" + head + b"\x04\0\0")
    refused(0xDE, client.command, 0xCD, b"\x01" + head + b"\x04\0\0")
    refused(0x9E, client.command, 0xCD, b"\x20" + head + b"\x04\0\0")
    refused(0x9E, client.command, 0xCD, b"\x02" + struct.pack("<BH", 2, 0) + b"\x04\0\0")
    refused(0x40, client.command, 0xCD, b"\x02" + struct.pack("<BH", 0, 0x2111) + b"\x04\0\0")
    refused(0x9E, client.command, 0xCD, b"\x02" + head + b"\0\0\0")
    client.command(0xCD, b"\x03" + head + b"\x01\0\0")
    refused(0x9E, client.command, 0xC0, b"\x02" + head + b"\x20\0\0\x01\0\0")
    refused(0x9E, client.command, 0xCC, b"\x02" + head + struct.pack("<iiiB", 10, 20, 9, 0))
    refused(0xF0, client.command, 0xDF, b"\x02")
    assert speak(b"\x6f") == b"\0\x01\x03"


@pytest.mark.parametrize("change", [0xE, 1])
def test_file_settings_change_in_clear_or_enciphered(change):
    _, speak = card_with(AES, [ZERO, ZERO])
    client = Ev1Client(speak)
    client.command(0xCD, b"\x01" + struct.pack("<BH", 0, 0x1110 | change) + b"\x04\0\0")
    new = struct.pack("<BH", 3, 0x1111)
    if change == 0xE:
        client.authenticate(1, ZERO)
        client.command(0x5F, b"\x01" + new)
    else:
        refused(0xAE, client.command, 0x5F, b"\x01" + new)
        client.authenticate(1, ZERO)
        client.command(0x5F, b"\x01", new, ENCIPHERED)
    client.select(AID)
    assert speak(b"\xf5\x01") == b"\0\0" + new + b"\x04\0\0"


def test_state_survives_as_json():
    card, client, _ = files(MACED)
    client.command(0x3D, extent(1, 0, 3), b"abc", MACED)
    client.command(0xDC, b"\x03", struct.pack("<i", 40), MACED)
    client.command(0x3B, extent(5, 0, 1), b"x", MACED)
    client.command(0xC7)
    client.command(0xDC, b"\x03", struct.pack("<i", 40), MACED)  # pending: not part of the state
    state = json.loads(json.dumps(card.to_state()))
    again = DesfireCard.from_state(state)
    assert again.to_state() == state
    client = Ev1Client(activate(again))
    client.select(AID)
    client.authenticate(1, ZERO)
    assert client.read(0x6C, b"\x03", 4, MACED) == struct.pack("<i", 60)
    assert client.read(0xBD, extent(1, 0, 3), 3, MACED) == b"abc"
    assert isinstance(again.applications[AID].files[1], DataFile)


def test_a_uid_has_seven_bytes():
    with pytest.raises(ValueError, match="7 bytes"):
        DesfireCard(b"\x04\x01\x02\x03")
