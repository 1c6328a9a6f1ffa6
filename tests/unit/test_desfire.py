import json

from kassette.codec import desfire
from kassette.codec.desfire import Session
from kassette.errors import CardRefused, Fault

with open("tests/vectors/desfire_ev1_aes_auth.json") as _file:
    _AUTH = json.load(_file)["sessions"]
with open("tests/vectors/desfire_ev1_cmac.json") as _file:
    _CMAC = json.load(_file)

_hex = bytes.fromhex


def _open(case):
    """A session opened by the recorded card, and the command that answered its challenge."""
    session = Session(_hex(case["key"]), _hex(case["rnda"]))
    second = session.respond(b"\xaf" + _hex(case["rndb_enc"]))
    session.confirm(b"\x00" + _hex(case["rnda_enc"]))
    return session, second


def _session(key_hex):
    """A session with the given session key: all recorded keys come from the recorded authentications."""
    for case in _AUTH:
        if case["sesskey"] == key_hex:
            return _open(case)[0]
    raise ValueError("no authentication with this key was recorded")


def _refusal(call, *arguments):
    """The class, code and detail of the exception of a call."""
    try:
        call(*arguments)
    except Fault as error:
        return type(error), error.code, error.at
    return None


def test_recorded_authentications():
    assert len(_AUTH) == 5
    for case in _AUTH:
        session, second = _open(case)
        assert second == b"\xaf" + _hex(case["rndab_enc"])
        assert session._key == _hex(case["sesskey"])


def test_authentication_with_a_wrong_key_or_a_changed_proof():
    case = _AUTH[1]
    for i in range(16):
        session = Session(_hex(case["key"]), _hex(case["rnda"]))
        session.respond(b"\xaf" + _hex(case["rndb_enc"]))
        proof = bytearray(b"\x00" + _hex(case["rnda_enc"]))
        proof[1 + i] ^= 1 << i % 8
        assert _refusal(session.confirm, proof) == (Fault, 202, 0)
    session = Session(bytes(16), _hex(case["rnda"]))
    session.respond(b"\xaf" + _hex(case["rndb_enc"]))
    assert _refusal(session.confirm, b"\x00" + _hex(case["rnda_enc"])) == (Fault, 202, 0)


def test_authentication_with_wrong_lengths_and_statuses():
    session = Session(bytes(16), bytes(16))
    for length in (0, 8, 15, 17, 32):
        assert _refusal(session.respond, b"\xaf" + bytes(length)) == (Fault, 204, length + 1)
        assert _refusal(session.confirm, b"\x00" + bytes(length)) == (Fault, 204, length + 1)
    assert _refusal(session.respond, b"") == (Fault, 204, 0)
    assert _refusal(session.respond, b"\x00" + bytes(16)) == (CardRefused, 201, 0)
    assert _refusal(session.respond, b"\x40") == (CardRefused, 201, 0x40)
    assert _refusal(session.confirm, b"\xae") == (CardRefused, 201, 0xAE)
    assert _refusal(session.confirm, b"\xaf" + bytes(16)) == (CardRefused, 201, 0xAF)


def test_recorded_chains_of_macs():
    for chain in _CMAC["chains"]:
        session = _session(chain["session_key"])
        for step in chain["steps"]:
            data, mac = _hex(step["data"]), _hex(step["cmac"])
            if step["dir"] == "tx":
                assert session.command(data) == data
            else:
                answer = b"\x00" + data[:-1] + mac[:8]
                assert bytes(session.accept(memoryview(answer), len(data) - 1)) == data[:-1]
            assert session._iv == mac, step
        _change_key(session, chain.get("then_changekey"))


def _change_key(session, recorded):
    """ChangeKey is enciphered as WriteRecord is: the head in clear, a CRC over head and data."""
    if recorded:
        head, data = _hex("C400"), _hex(recorded["new_key"] + recorded["key_version"])
        assert session._iv == _hex(recorded["iv"])
        assert desfire.crc32(head, data) == _hex(recorded["crc32_cmd_keyno_key_ver_le"])
        assert session.encipher(head, data) == head + _hex(recorded["cryptogram"])


def test_recorded_changes_of_another_key():
    recorded = _CMAC["changekey_other_key"]
    session = _session(recorded["session_key"])
    for step in recorded["steps"]:
        assert session._iv == _hex(step["iv"])
        new, old = _hex(step["new_key"]), _hex(step["cur_key"])
        data = bytes([a ^ b for a, b in zip(new, old)]) + _hex(step["key_version"])
        crc = desfire.crc32(bytes((0xC4, recorded["key_no"])), data)
        assert crc == _hex(step["crc_cmd_le"]) and desfire.crc32(new) == _hex(step["crc_newkey_le"])
        assert session._encrypt(data + crc + desfire.crc32(new) + bytes(7)) == _hex(step["cryptogram"])
        session.accept(b"\x00" + _hex(step["rx_cmac_of_00"])[:8], 0)
        assert session._iv == _hex(step["rx_cmac_of_00"])


def test_only_writes_show_their_mac():
    chain = _CMAC["chains"][1]
    step = chain["steps"][0]
    shown = _session(chain["session_key"]).command(_hex(step["data"]), True)
    assert shown == _hex(step["data"]) + _hex(step["cmac"])[:8]


def test_every_flipped_bit_of_a_maced_answer_is_noticed():
    chain = _CMAC["chains"][0]
    sent, got = chain["steps"]
    good = b"\x00" + _hex(got["data"])[:-1] + _hex(got["wire"])
    for bit in range(8, 8 * len(good)):
        session = _session(chain["session_key"])
        session.command(_hex(sent["data"]))
        changed = bytearray(good)
        changed[bit // 8] ^= 1 << bit % 8
        assert _refusal(session.accept, changed, 1) == (Fault, 203, 0), bit
    assert _refusal(session.accept, good, 1) == (Fault, 203, 0), "the chain has moved on"


def test_wrong_lengths_and_statuses_of_answers():
    session = _session(_CMAC["chains"][0]["session_key"])
    for answer in (b"", b"\x00", b"\x00" + bytes(7), b"\x00" + bytes(9)):
        assert _refusal(session.accept, answer, 0) == (Fault, 204, len(answer))
    for answer in (b"\x00", b"\x00" + bytes(32), b"\x00" + bytes(47), b"\x00" + bytes(64)):
        assert _refusal(session.decipher, answer, 32) == (Fault, 204, len(answer))
    for status in (0x0C, 0x9D, 0xAE, 0xAF, 0xBE, 0xCA, 0xFF):
        assert _refusal(session.accept, bytes([status]), 0) == (CardRefused, 201, status)
        assert _refusal(session.accept, bytes([status]) + bytes(8), 0) == (CardRefused, 201, status)
        assert _refusal(session.decipher, bytes([status]), 32) == (CardRefused, 201, status)


def _enciphered(iv):
    """The answer of a card that sends 32 bytes enciphered, made with the session's own cipher at `iv`."""
    card = _session(_CMAC["chains"][0]["session_key"])
    card._iv = iv
    data = bytes(range(32))
    return b"\x00" + card._encrypt(data + desfire.crc32(data, b"\x00") + bytes(12))


def test_enciphered_answers():
    reader = _session(_CMAC["chains"][0]["session_key"])
    reader.command(_hex("BB03000000010000"))
    good = _enciphered(reader._iv)
    assert reader.decipher(memoryview(good), 32) == bytes(range(32))
    assert reader._iv == good[-16:], "the chain goes on from the last block"


def test_every_flipped_bit_of_an_enciphered_answer_is_noticed():
    """Also where CBC hands the flipped bit on to the next block in clear."""
    reader = _session(_CMAC["chains"][0]["session_key"])
    good = _enciphered(bytes(16))
    for bit in range(8, 8 * len(good)):
        changed = bytearray(good)
        changed[bit // 8] ^= 1 << bit % 8
        reader._iv = bytes(16)
        assert _refusal(reader.decipher, changed, 32) == (Fault, 203, 0), bit


def test_wipe_leaves_no_key():
    session, _ = _open(_AUTH[0])
    session.wipe()
    assert session._key == bytearray(16) and session._cmac._subkeys == bytearray(32)
    half = Session(_hex(_AUTH[1]["key"]), bytes(16))
    half.wipe()
    assert half._key == bytearray(16)


def test_the_card_key_is_gone_once_the_session_stands():
    case = _AUTH[1]
    session = Session(_hex(case["key"]), _hex(case["rnda"]))
    card_key = session._key
    session.respond(b"\xaf" + _hex(case["rndb_enc"]))
    session.confirm(b"\x00" + _hex(case["rnda_enc"]))
    assert card_key == bytearray(16) and session._key != bytearray(16)
