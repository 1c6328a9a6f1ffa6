"""The reader that sends text: whole lines, lines in pieces, its error marks, nonsense."""

import asyncio

from fake_pn532 import FakeLink
from stripe_cards import ISSUER, on_track_1, on_track_2, own
from vclock import VirtualClock

from kassette.codec import tracks
from kassette.drivers.stripe_uart import StripeUart

_BANK = "%B5413330089604111^TEST/CARD^25122010000?;5413330089604111=25122010000000000000?"


def swiped(*pushes, before_ms=0):
    """What each of the lines pushed, as (text, delay in ms), is taken for, up to the first silence of 1.5 s."""
    clock = VirtualClock()
    link = FakeLink(clock)
    reader = StripeUart(link, clock)
    for text, delay_ms in pushes:
        link.push(text if isinstance(text, bytes) else text.encode(), delay_ms)

    async def script():
        task = asyncio.create_task(reader.capture_forever())
        await clock.sleep_ms(before_ms)
        found = []
        digits = bytearray(tracks.OURS_LEN)
        while await reader.wait(1500):
            verdict, _ = reader.read(digits, ISSUER)
            assert (verdict == tracks.OURS) == any(digits)
            assert not any(reader._line) and not any(reader._part)
            found.append((verdict, digits.decode() if verdict == tracks.OURS else ""))
        task.cancel()
        return found

    return asyncio.run(clock.run(script()))


def test_ours():
    digits = own()
    for line in (on_track_2(digits), on_track_1(digits) + on_track_2(digits), "%E?" + on_track_2(digits)):
        assert swiped((line + "\r\n", 100)) == [(tracks.OURS, digits)]
        assert swiped((line, 100)) == [(tracks.OURS, digits)]
        assert swiped((line[:20], 100), (line[20:] + "\r", 140)) == [(tracks.OURS, digits)]


def test_what_is_not_ours():
    assert swiped((_BANK + "\r", 5)) == [(tracks.BANK, "")]
    assert swiped((";0004048712?\r", 5)) == [(tracks.FOREIGN, "")]
    assert swiped((on_track_1(own(1)) + on_track_2(own(2)) + "\r", 5)) == [(tracks.TWO_CARDS, "")]
    digits = own()
    wrong = on_track_2(digits[:9] + str((int(digits[9]) + 1) % 10) + digits[10:])
    assert swiped((wrong + "\r", 5)) == [(tracks.SWIPE_AGAIN, "")]


def test_what_could_not_be_read():
    for line in ("%E?;E?\r", ";9047\r", "%K9", ";?\r", "?" + on_track_2(own())[:-1]):
        assert swiped((line, 5)) == [(tracks.SWIPE_AGAIN, "")], line
    for line in ("hello\r", "\n", b"\xff\x80\x00", "?" * 500):
        assert swiped((line, 5)) == [(tracks.NO_STRIPE, "")], line
    assert swiped((";" * 1000, 5)) == [(tracks.SWIPE_AGAIN, "")]


def test_what_nobody_reads_is_kept_and_the_next_one_missed():
    first, second, third = own(1), own(2), own(3)
    lines = [(on_track_2(digits) + "\r", at) for digits, at in ((first, 100), (second, 900), (third, 3000))]
    assert swiped(*lines, before_ms=2000) == [(tracks.OURS, first), (tracks.OURS, third)]
