from fake_card import FakeCard, FakeReader

from kassette.cards.purse import Purse
from kassette.codec import card_record, records
from kassette.codec.drbg import Drbg
from kassette.codec.kdf import card_key
from kassette.errors import CardLost, CardRefused, CommitUnknown, Fault

_UID = bytes.fromhex("04112233445566")
_OLD, _NEW, _OTHER = b"o" * 16, b"n" * 16, b"x" * 16
_SALE = [0x5A, 0xAA, 0xAF, 0xBD, 0xBB, 0xDC, 0x3B, 0xC7]
_ME = (7, 1)  # terminal, journal id


class _Keys:
    issuer = 1
    currency = 156

    def __init__(self, *pairs):
        self._pairs = pairs

    def debit_keys(self):
        return iter(self._pairs)


def _record(seq, after, serial=0, amount=500, kind=1, place=_ME):
    return card_record.pack_record(kind, place[0], place[1], serial, seq, amount, after, 1700000000, b"abcde")


def _history(newest, capacity=9):
    """Records newest..0 as other terminals left them, 5.00 each, the newest first."""
    made = [_record(seq, 100000 - 500 * seq, 900 + seq, place=(8, 2)) for seq in range(newest, 0, -1)]
    return (made + [_record(0, 100000, amount=100000, kind=0, place=(0, 0))])[:capacity]


def _bench(newest=3, master=_NEW, version=2, capacity=9):
    header = card_record.pack_header(0, 1, 0, 1234, 1, 156, 0xFFFFFFFF)
    key = card_key(master, _UID, b"KST", 1, version)
    card = FakeCard(_UID, {1: key}, header, _history(newest, capacity), 100000 - 500 * newest, capacity)
    purse = Purse(FakeReader(card), _Keys((2, _NEW), (1, _OLD)), Drbg(bytes(32)))
    return card, purse


async def _fails(coro):
    try:
        await coro
    except Fault as fault:
        return type(fault), fault.code, fault.at
    return None


def _ours(purse, amount, serial=55):
    return _record(purse.card_seq + 1, purse.balance - amount, serial, amount)


def _attempt(card_seq):
    """The intent of `_ours(purse, 1000)`, made when the card was at that sequence, as the till keeps it."""
    return 55, 1, 1000, card_seq, 1, _UID, b"abcde", 0


# --- open


async def test_a_card_whose_sequence_is_used_up_is_refused_before_anything_is_recorded():
    card, purse = _bench()
    card.records[0] = _record(0xFFFFFFFF, 98500)
    assert await _fails(purse.open(_UID)) == (Fault, 206, 0)


async def test_open():
    card, purse = _bench()
    await purse.open(_UID)
    assert (purse.uid, purse.key_version, purse.number, purse.issuer, purse.currency) == (_UID, 2, 1234, 1, 156)
    assert (purse.card_class, purse.level, purse.flags, purse.expiry) == (0, 1, 0, 0xFFFFFFFF)
    assert (purse.balance, purse.card_seq, purse.newest) == (98500, 3, card.records[0])
    assert not purse.is_commit_sent


async def test_open_with_the_older_key():
    card, purse = _bench(master=_OLD, version=1)
    await purse.open(_UID)
    assert purse.key_version == 1 and purse.balance == 98500
    assert card.log[:5] == [0x5A, 0xAA, 0xAF, 0xAA, 0xAF]


async def test_open_with_none_of_the_keys():
    _, purse = _bench(master=_OTHER)
    assert await _fails(purse.open(_UID)) == (CardRefused, 202, 0xAE)
    assert purse._session is None
    purse = Purse(purse._reader, _Keys(), Drbg(bytes(32)))
    assert await _fails(purse.open(_UID)) == (CardRefused, 202, 0xAE)


async def test_open_a_card_of_another_kind():
    for status in (b"\xa0", b"\x6d\x00", b"\x67", b"\x1c"):
        card, purse = _bench()
        card.tamper[0x5A] = lambda answer, status=status: status
        assert await _fails(purse.open(_UID)) == (CardRefused, 112, status[0])
    card, purse = _bench()
    card.tamper[0x5A] = lambda answer: b""
    assert await _fails(purse.open(_UID)) == (Fault, 204, 0)


async def test_open_a_false_card():
    """It has the UID and says yes, but has not the key."""
    card, purse = _bench()
    card.tamper[0xAF] = lambda answer: b"\x00" + bytes(16)
    assert await _fails(purse.open(_UID)) == (Fault, 202, 0)
    assert purse._session is None


async def test_open_a_copy_with_another_uid():
    _, purse = _bench()
    assert await _fails(purse.open(b"\x04" + bytes(6))) == (CardRefused, 202, 0xAE)


async def test_open_with_changed_answers():
    """A bit anywhere in an answer after the authentication, or a wrong length."""
    for code, length in ((0xBD, 41), (0xBB, 49)):
        for at in range(1, length):
            card, purse = _bench()
            card.tamper[code] = lambda a, at=at: a[:at] + bytes((a[at] ^ 1 << at % 8,)) + a[at + 1 :]
            assert await _fails(purse.open(_UID)) == (Fault, 203, 0), (code, at)
            assert purse._session is None
        card, purse = _bench()
        card.tamper[code] = lambda a: a[:-1]
        assert await _fails(purse.open(_UID)) == (Fault, 204, length - 1)


async def test_open_with_every_status():
    for code in (0xAA, 0xAF, 0xBD, 0xBB):
        for status in (0x1C, 0x1E, 0x40, 0x7E, 0x9D, 0xCA, 0xEE, 0xF0, 0xFF):
            card, purse = _bench()
            card.tamper[code] = lambda answer, status=status: bytes((status,))
            assert await _fails(purse.open(_UID)) == (CardRefused, 201, status), code


async def test_open_a_header_or_record_of_another_version():
    card, purse = _bench()
    card.header = b"\x02" + card.header[1:]
    assert await _fails(purse.open(_UID)) == (Fault, 205, 2)
    for record in (_record(3, 98500, kind=3), _record(3, 98500, kind=0x7F), _record(3, 98500, amount=0)):
        card, purse = _bench()
        card.records[0] = record
        assert await _fails(purse.open(_UID)) == (Fault, 206, record[0])
        assert purse._session is None


async def test_open_a_card_of_another_issuer_or_currency():
    """Under the same keys; yuan are not taken for yen."""
    for issuer, currency in ((2, 156), (1, 392), (0, 156), (156, 1)):
        card, purse = _bench()
        card.header = card_record.pack_header(0, 1, 0, 1234, issuer, currency, 0xFFFFFFFF)
        assert await _fails(purse.open(_UID)) == (Fault, 205, currency)
        assert purse._session is None


async def test_open_reads_a_record_of_an_untrusted_clock():
    card, purse = _bench()
    card.records[0] = _record(3, 98500, kind=0x81)
    await purse.open(_UID)
    assert purse.balance == 98500


async def test_card_lost_at_every_exchange_of_open():
    for number in range(5):
        for side in ("lose_before", "lose_after"):
            _, purse = _bench()
            setattr(purse._reader, side, number)
            assert await _fails(purse.open(_UID)) == (CardLost, 110, 1)
            assert purse._session is None and not purse.is_commit_sent
            purse._reader.tap()
            await purse.open(_UID)


async def test_each_authentication_has_its_own_random_number():
    card, purse = _bench()
    seen = set()
    for _ in range(5):
        await purse.open(_UID)
        seen.add(bytes(card._rnd_a))
        purse._reader.tap()
    assert len(seen) == 5


# --- debit


async def test_a_sale_is_eight_exchanges():
    card, purse = _bench()
    await purse.open(_UID)
    record = _ours(purse, 1234)
    await purse.debit(record, 1234)
    assert card.log == _SALE
    assert card.value == 98500 - 1234 and card.records[0] == record and card.commits == 1
    assert purse._session is None and purse.is_commit_sent


async def test_the_last_cent_and_one_more():
    card, purse = _bench()
    await purse.open(_UID)
    await purse.debit(_ours(purse, 98500), 98500)
    assert card.value == 0
    purse._reader.tap()
    await purse.open(_UID)
    assert await _fails(purse.debit(_ours(purse, 1), 1)) == (CardRefused, 201, 0xBE)
    assert card.value == 0 and card.commits == 1 and not purse.is_commit_sent


async def test_a_record_that_tells_another_story_never_leaves():
    _, purse = _bench()
    await purse.open(_UID)
    for record in (
        _record(purse.card_seq, purse.balance - 100, 5, 100),
        _record(purse.card_seq + 1, purse.balance, 5, 100),
        _record(purse.card_seq + 1, purse.balance - 100, 5, 101),
    ):
        try:
            await purse.debit(record, 100)
            raise AssertionError("accepted")
        except ValueError:
            pass
    assert purse._reader.count == 5


async def test_card_lost_around_every_command_of_a_debit():
    """What debit says is what the card did; find tells the rest."""
    for number in (5, 6, 7):
        for side in ("lose_before", "lose_after"):
            card, purse = _bench()
            await purse.open(_UID)
            setattr(purse._reader, side, number)
            outcome = await _fails(purse.debit(_ours(purse, 1000), 1000))
            is_committed = (number, side) == (7, "lose_after")
            assert outcome == ((CommitUnknown, 207, 110) if number == 7 else (CardLost, 110, 1))
            assert purse.is_commit_sent == (number == 7)
            assert card.value == 98500 - 1000 * is_committed and card.commits == is_committed
            purse._reader.tap()
            await purse.open(_UID)
            found = await purse.find(*_ME, _attempt(3))
            assert found == (records.COMMITTED if is_committed else records.NOT_DEBITED)
            assert purse.evidence == card.records[0]
            assert purse.balance == card.value == await purse.value()


async def test_every_answer_to_the_commit_but_the_right_one_is_unknown():
    def flipped(at):
        return lambda a: a[:at] + bytes((a[at] ^ 1,)) + a[at + 1 :]

    for tamper, cause in (
        [(flipped(at), 203) for at in range(1, 9)]
        + [(lambda a, s=s: bytes((s,)), 201) for s in (0x0C, 0x1E, 0x7E, 0xAE, 0xAF, 0xBE, 0xCA, 0xEE, 0xFF)]
        + [(lambda a: b"", 204), (lambda a: b"\x00", 204), (lambda a: a + b"\x00", 204)]
    ):
        card, purse = _bench()
        await purse.open(_UID)
        card.tamper[0xC7] = tamper
        assert await _fails(purse.debit(_ours(purse, 1000), 1000)) == (CommitUnknown, 207, cause)
        assert purse.is_commit_sent and purse._session is None
        purse._reader.tap()
        await purse.open(_UID)
        assert await purse.find(*_ME, _attempt(3)) == records.COMMITTED


async def test_a_refusal_before_the_commit_commits_nothing():
    for code in (0xDC, 0x3B):
        for tamper, expected in (
            (lambda a: b"\xbe", (CardRefused, 201, 0xBE)),
            (lambda a: a[:8] + bytes((a[8] ^ 0x80,)), (Fault, 203, 0)),
            (lambda a: a[:4], (Fault, 204, 4)),
        ):
            card, purse = _bench()
            await purse.open(_UID)
            card.tamper[code] = tamper
            assert await _fails(purse.debit(_ours(purse, 1000), 1000)) == expected
            assert not purse.is_commit_sent and 0xC7 not in card.log
            card.tamper.clear()
            await purse.open(_UID)  # still in the field: selecting drops what was pending
            await purse.debit(_ours(purse, 1), 1)
            assert card.value == 98499 and card.commits == 1


# --- find


async def test_find_under_later_records():
    card, purse = _bench()
    await purse.open(_UID)
    await purse.debit(_ours(purse, 1000), 1000)
    ours = card.records[0]
    for later in range(8):
        purse._reader.tap()
        await purse.open(_UID)
        assert await purse.find(*_ME, _attempt(3)) == records.COMMITTED
        assert purse.evidence == ours
        assert purse._reader.count == 5 + later
        record = _record(purse.card_seq + 1, purse.balance - 10, 70 + later, 10, place=(9, 4))
        await purse.debit(record, 10)


async def test_find_not_debited_is_proven_by_the_records_since():
    for later in range(8):
        card, purse = _bench(newest=20 + later)
        await purse.open(_UID)
        assert await purse.find(*_ME, _attempt(20)) == records.NOT_DEBITED, later
        assert card_record.after(purse.evidence)[1] == 20
        await purse.debit(_ours(purse, 100, 56), 100)  # the purse is still open: the sale goes on
        assert card.commits == 1


async def test_find_rolled_out_is_unresolved():
    card, purse = _bench(newest=29)
    await purse.open(_UID)
    assert await purse.find(*_ME, _attempt(20)) == records.UNRESOLVED
    assert card.log.count(0xBB) == 1 + 9
    assert purse._session is None


async def test_find_takes_only_its_own_record():
    for place, serial, kind in (((6, 1), 55, 1), ((7, 2), 55, 1), ((7, 1), 54, 1), ((7, 1), 55, 2)):
        card, purse = _bench(newest=4)
        card.records[0] = _record(4, 8000, serial, kind=kind, place=place)
        await purse.open(_UID)
        assert await purse.find(*_ME, _attempt(3)) == records.NOT_DEBITED


async def test_find_takes_a_record_with_its_numbers_but_another_story_for_no_proof():
    for seq, amount, tag in ((4, 1001, b"abcde"), (4, 1000, b"abcdX"), (5, 1000, b"abcde")):
        card, purse = _bench(newest=seq)
        card.records[0] = card_record.pack_record(1, *_ME, 55, seq, amount, 8000, 1700000000, tag)
        await purse.open(_UID)
        assert await purse.find(*_ME, _attempt(3)) == records.UNRESOLVED
        card.records[0] = card_record.pack_record(1, *_ME, 55, 4, 1000, 8000, 1700000000, b"abcde")
        await purse.open(_UID)
        assert await purse.find(*_ME, _attempt(3)) == records.COMMITTED


async def test_find_on_an_impossible_card():
    card, purse = _bench(newest=10)
    card.records[2] = _record(6, 7000, 1)  # a gap
    await purse.open(_UID)
    assert await purse.find(*_ME, _attempt(3)) == records.UNRESOLVED
    card, purse = _bench(newest=2)  # rolled back to before the intent
    await purse.open(_UID)
    assert await purse.find(*_ME, _attempt(3)) == records.UNRESOLVED
    assert card.log.count(0xBB) == 1, "it need not read on"


async def test_card_lost_in_find_decides_nothing():
    _, purse = _bench(newest=10)
    await purse.open(_UID)
    purse._reader.lose_after = 7
    assert await _fails(purse.find(*_ME, _attempt(3))) == (CardLost, 110, 1)


# --- value, secrets


async def test_value_and_a_record_that_lies():
    card, purse = _bench()
    await purse.open(_UID)
    assert await purse.value() == 98500
    card.value = -1
    assert await _fails(purse.value()) == (Fault, 206, 0)
    card.records[0] = _record(3, -1)
    await purse.open(_UID)
    assert await purse.value() == -1


async def test_close_wipes_the_session():
    _, purse = _bench()
    await purse.open(_UID)
    session = purse._session
    assert session._key != bytearray(16)
    purse.close()
    assert session._key == bytearray(16) and purse._session is None
    purse.close()
