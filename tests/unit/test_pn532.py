import asyncio

from fake_pn532 import FakeChip, FakeLink, target
from vclock import VirtualClock

from kassette.drivers.pn532 import PN532
from kassette.errors import CardLost, Fault

_UID = b"\x04\x11\x22\x33\x44\x55\x66"


def _bench(is_started=True):
    clock = VirtualClock()
    link = FakeLink(clock)
    chip = FakeChip(link)
    if is_started:
        chip.is_asleep = False
        chip.baud = link.baud = 230400
    return clock, chip, PN532(link, clock)


async def _outcome(clock, coro):
    """What a call returned, or the class, code and detail of its Fault."""
    try:
        return await clock.run(coro)
    except Fault as fault:
        return type(fault), fault.code, fault.at


def _codes(chip):
    return [command[0] for command in chip.commands]


# --- start


async def test_start_after_power_up():
    clock, chip, reader = _bench(False)
    await clock.run(reader.start())
    assert chip.baud == 230400 and not chip.is_field_on
    assert chip.commands == [
        b"\x14\x01\x14\x01",  # at 115200
        b"\x14\x01\x14\x01",  # at 230400
        b"\x02",
        b"\x32\x05\xff\x01\x3c",
        b"\x32\x01\x00",
    ]


async def test_start_after_a_reset_of_the_mcu_alone():
    """The chip still talks fast, was polling for ever with the field on, and has a stale answer to say."""
    clock, chip, reader = _bench(False)
    chip.is_asleep = False
    chip.baud = 230400
    chip.is_field_on = True
    reader._link.push(b"\x00\x00\xff\x03\xfd\xd5\x4b\x00\xe0\x00")
    await clock.run(reader.start())
    assert _codes(chip) == [0x14, 0x02, 0x32, 0x32] and not chip.is_field_on


async def test_start_twice():
    clock, chip, reader = _bench(False)
    await clock.run(reader.start())
    del chip.commands[:]
    await clock.run(reader.start())
    assert _codes(chip) == [0x14, 0x02, 0x32, 0x32]


async def test_start_when_the_answer_to_the_new_rate_is_lost():
    for fault in ("no answer", "no ack", "bad twice", "cut"):
        clock, chip, reader = _bench(False)
        chip.faults[0x10] = [fault]
        await clock.run(reader.start())
        assert chip.baud == 230400, fault


async def test_start_without_a_reader_is_bounded():
    clock, chip, reader = _bench(False)
    chip.baud = 1
    assert await _outcome(clock, reader.start()) == (Fault, 101, 0)
    assert clock.now < 1000


async def test_start_with_something_else_on_the_wire():
    clock, chip, reader = _bench(False)
    chip.ic = 0x33
    assert await _outcome(clock, reader.start()) == (Fault, 106, 0x33)


async def test_check():
    clock, chip, reader = _bench()
    assert await _outcome(clock, reader.check()) is None
    chip.faults[0x02] = ["empty"]
    assert await _outcome(clock, reader.check()) == (Fault, 106, 0)


# --- wait_card


async def test_wait_card_at_once():
    clock, chip, reader = _bench()
    chip.targets = [target(_UID)]
    assert await clock.run(reader.wait_card(5000)) == _UID
    assert chip.commands == [b"\x32\x01\x00", b"\x4a\x02\x00"]
    assert chip.is_field_on and chip.aborts == 0


async def test_wait_card_that_comes_later():
    clock, chip, reader = _bench()
    chip.poll_ms = 200

    async def script():
        task = asyncio.create_task(reader.wait_card(5000))
        await clock.sleep_ms(1100)
        chip.targets = [target(_UID)]
        return await task

    assert await clock.run(script()) == _UID
    assert 4 <= _codes(chip).count(0x4A) <= 7, "asked again a few times a second"


async def test_wait_card_in_vain():
    clock, chip, reader = _bench()
    assert await _outcome(clock, reader.wait_card(3000)) == (CardLost, 113, 0)
    assert 3000 <= clock.now <= 3200
    assert not chip.is_field_on and chip.aborts


async def test_wait_card_with_two_cards():
    clock, chip, reader = _bench()
    chip.targets = [target(_UID), target(bytes(reversed(_UID)), 2)]
    assert await _outcome(clock, reader.wait_card(3000)) == (Fault, 111, 0)
    assert not chip.is_field_on


async def test_wait_card_with_cards_that_are_no_purse():
    for alien in (
        target(_UID, sel_res=0x08, ats=b""),  # MIFARE Classic
        target(_UID, sel_res=0x00, ats=b""),  # NTAG
        target(_UID[:4]),  # random UID
        target(_UID + _UID[:3]),
        target(_UID)[:5],  # a chip that forgot the UID
        b"",
    ):
        clock, chip, reader = _bench()
        chip.targets = [alien]
        assert await _outcome(clock, reader.wait_card(3000)) == (Fault, 112, 0), alien
        assert not chip.is_field_on


async def test_wait_card_cancelled_leaves_the_chip_idle():
    for cut_ms in (0, 3, 15, 100, 1000):
        clock, chip, reader = _bench()

        async def script(clock=clock, reader=reader, cut_ms=cut_ms):
            task = asyncio.create_task(reader.wait_card(5000))
            await clock.sleep_ms(cut_ms)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return "cancelled"

        assert await clock.run(script()) == "cancelled"
        assert not chip.is_field_on, cut_ms
        assert chip.aborts or not chip.commands
        chip.targets = [target(_UID)]  # and the next customer is served
        assert await clock.run(reader.wait_card(1000)) == _UID


async def test_stop_ends_the_wait():
    for cut_ms in (1, 3, 15, 100, 1000):
        clock, chip, reader = _bench()

        async def script(clock=clock, reader=reader, cut_ms=cut_ms):
            task = asyncio.create_task(reader.wait_card(5000))
            await clock.sleep_ms(cut_ms)
            reader.stop()
            return await task

        assert await _outcome(clock, script()) == (CardLost, 113, 0)
        assert clock.now - cut_ms < 50, "at once"
        assert not chip.is_field_on
        chip.targets = [target(_UID)]
        assert await clock.run(reader.wait_card(1000)) == _UID


async def test_stop_on_a_dead_chip_is_bounded():
    clock, chip, reader = _bench()

    async def script():
        task = asyncio.create_task(reader.wait_card(5000))
        await clock.sleep_ms(50)
        chip.baud = 1
        reader.stop()
        return await task

    assert await _outcome(clock, script()) == (CardLost, 113, 0)
    assert clock.now < 1200


async def test_the_field_rests_before_each_search():
    """A card that was active answers no new search until it has been without field for 5 ms."""
    clock, chip, reader = _bench()
    chip.targets = [target(_UID)]
    await clock.run(reader.wait_card(1000))
    await clock.run(reader.wait_card(1000))
    assert [c[:2] for c in chip.commands[-2:]] == [b"\x32\x01", b"\x4a\x02"]
    before = clock.now
    await clock.run(reader.release())
    assert not chip.is_field_on and clock.now - before >= 5


# --- exchange


async def _exchange(fault="", card=None):
    clock, chip, reader = _bench()
    seen = []

    def answer(command):
        seen.append(command)
        return b"\x00\x12\x34" if card is None else card

    chip.card = answer
    chip.faults[0x40] = [fault]
    outcome = await _outcome(clock, reader.exchange(b"\xbd\x01\x02"))
    if not isinstance(outcome, tuple):
        outcome = bytes(outcome)
    return outcome, seen, chip, clock


async def test_exchange():
    outcome, seen, chip, _ = await _exchange()
    assert outcome == b"\x00\x12\x34" and seen == [b"\xbd\x01\x02"]
    assert chip.commands == [b"\x40\x01\xbd\x01\x02"]
    assert chip.aborts == chip.nacks == 0


async def test_exchange_of_the_longest_command_and_answer():
    clock, chip, reader = _bench()
    chip.card = lambda command: bytes(command) * 4
    command = bytes(range(64))
    assert bytes(await clock.run(reader.exchange(memoryview(command)))) == command * 4


async def test_what_a_bad_line_does_to_an_exchange():
    """Whatever happens, the card is asked at most once, and the end comes in bounded time."""
    good = b"\x00\x12\x34"
    for fault, expected, asked in (
        ("silent", (Fault, 101, 0), 0),
        ("no answer", (Fault, 101, 0), 1),
        ("no ack", (Fault, 103, 0), 1),
        ("ack with a bad bit", good, 1),
        ("ack without its ff", good, 1),
        ("stale", good, 1),
        ("other code", (Fault, 101, 0), 1),
        ("bad", good, 1),
        ("bad twice", (Fault, 102, 0), 1),
        ("bad length", good, 1),
        ("long length", good, 1),
        ("cut", good, 1),
        ("cut twice", (Fault, 102, 0), 1),
        ("empty", (Fault, 102, 0), 1),
        ("extended", good, 1),
        ("junk first", good, 1),
        ("pieces", good, 1),
        ("babble", (Fault, 102, 0), 1),
        ("chip nack", (Fault, 103, 2), 0),
        ("chip error", (Fault, 104, 3), 0),
    ):
        outcome, seen, chip, clock = await _exchange(fault)
        assert outcome == expected, (fault, outcome)
        assert len(seen) == asked, fault
        assert chip.nacks <= 1
        assert clock.now <= (400 if outcome == good else 2500), fault
        assert chip.aborts == (0 if outcome == good else 1) or fault == "empty", fault


async def test_a_bad_line_and_commands_to_the_chip_alone():
    """They are asked twice, unless NACK brought the answer; only then the chip is at fault."""
    for fault, runs, twice in (
        ("silent", 1, 101),
        ("no answer", 2, 101),
        ("no ack", 2, 103),
        ("ack with a bad bit", 1, None),
        ("stale", 1, None),
        ("other code", 2, 101),
        ("bad", 1, None),
        ("bad twice", 2, 102),
        ("bad length", 1, None),
        ("cut", 1, None),
        ("extended", 1, None),
        ("pieces", 1, None),
        ("babble", 2, 102),
        ("chip nack", 1, 103),
        ("chip error", 1, 104),
    ):
        clock, chip, reader = _bench()
        chip.faults[0x02] = [fault]
        assert await _outcome(clock, reader.check()) is None, fault
        assert len(chip.commands) == runs, fault
        chip.faults[0x02] = [fault, fault]
        outcome = await _outcome(clock, reader.check())
        assert (outcome and outcome[1]) == twice, fault


async def test_the_line_is_usable_after_every_fault():
    clock, chip, reader = _bench()
    for fault in ("no answer", "no ack", "bad twice", "cut twice", "babble", "chip nack", "chip error", "stale"):
        chip.faults[0x40] = [fault]
        await _outcome(clock, reader.exchange(b"\x01"))
        assert bytes(await clock.run(reader.exchange(b"\x02"))) == b"\x00", fault


async def test_a_late_answer_is_not_taken_for_the_next_one():
    clock, chip, reader = _bench()
    chip.faults[0x40] = ["no answer"]
    chip.card = lambda command: b"\x00" + bytes(command)
    await _outcome(clock, reader.exchange(b"\x01"))
    reader._link.push(b"\x00\x00\xff\x05\xfb\xd5\x41\x00\x00\x01\xe9\x00")
    assert bytes(await clock.run(reader.exchange(b"\x02"))) == b"\x00\x02"


async def test_every_status_of_an_exchange():
    lost = (0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A, 0x0B, 0x13, 0x2A, 0x2B)
    for status in range(1, 256):
        outcome, seen, _, _ = await _exchange(card=status)
        code = status & 0x3F
        expected = (CardLost, 110) if code in lost else (Fault, 105) if code in (0x0D, 0x2D) else (Fault, 104)
        assert outcome == expected + (status,)
        assert len(seen) == 1


async def test_nothing_is_sent_to_a_card_after_a_cancelled_exchange():
    clock, chip, reader = _bench()
    chip.faults[0x40] = ["no answer"]

    async def script():
        task = asyncio.create_task(reader.exchange(b"\x01"))
        await clock.sleep_ms(20)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return chip.aborts

    assert await clock.run(script()) == 1
    await clock.run(reader.check())
    assert _codes(chip) == [0x40, 0x02]
