import struct

from signer import MODULUS, sign

from kassette.codec import account, authorise
from kassette.errors import Fault

_KEY = bytes(range(16))
_NONCE = bytes(range(100, 116))


def digits(text):
    return bytearray(int(c) for c in text)


def test_a_token_names_one_number_under_one_key():
    tokens = set()
    for number in ("90471100001234569", "90471100001234577", "9047110000123456", "904711000012345690", "0", "00"):
        for key in (_KEY, bytes(16)):
            name = account.token(key, digits(number))
            assert len(name) == 16 and name == account.token(key, digits(number))
            tokens.add(name)
    assert len(tokens) == 12


def test_a_token_is_one_block_of_length_and_digits():
    from cryptolib import aes

    name = account.token(_KEY, digits("9047110000123456912"))
    assert aes(_KEY, 1).decrypt(name).hex() == "13" + "9047110000123456912" + "0" * 11


def test_the_number_is_left_to_the_caller_to_wipe():
    number = digits("90471100001234569")
    account.token(_KEY, number)
    assert number == digits("90471100001234569")


def test_the_part_of_an_intent():
    part = account.pack_part(b"t" * 16, account.KEYED, 0, account.OFFLINE, account.WITH_PIN, 1_790_000_000, 77, 2_000)
    assert len(part) == 32
    assert account.unpack_part(part) == (b"t" * 16, account.KEYED, 0, account.OFFLINE, 1, 1_790_000_000, 77, 2_000)


def answer(**changes):
    get = changes.get
    told = struct.pack(
        authorise.ANSWER,
        get("type", authorise.AUTHORISATION),
        get("version", 1),
        get("terminal", 9),
        get("journal", 7),
        get("serial", 33),
        get("amount", 1250),
        get("nonce", _NONCE),
        get("decision", authorise.SHORT),
        get("balance", -5),
        2,
        20_000,
        1_790_000_000,
    )
    return told + sign(told)


def code_of(body):
    try:
        authorise.open_answer(body, MODULUS, 9, 7, 33, 1250, _NONCE)
    except Fault as fault:
        return fault.code


def test_an_answer_opens_for_its_own_question():
    opened = authorise.open_answer(answer(), MODULUS, 9, 7, 33, 1250, _NONCE)
    assert opened == (authorise.SHORT, -5, 2, 20_000, 1_790_000_000)


def test_an_answer_for_something_else_is_none():
    for wrong in ({"terminal": 8}, {"journal": 8}, {"serial": 34}, {"amount": 1251}, {"nonce": bytes(16)}):
        assert code_of(answer(**wrong)) == 506, wrong
    assert code_of(answer(type=1)) == 504 and code_of(answer(version=2)) == 504
    assert code_of(answer()[:-1]) == 504 and code_of(b"") == 504
    spoilt = bytearray(answer())
    spoilt[32] ^= 1  # approved instead
    assert code_of(spoilt) == 505


def test_the_question_has_its_announced_length():
    assert struct.calcsize(authorise.REQUEST) == authorise.REQUEST_LEN == 104
