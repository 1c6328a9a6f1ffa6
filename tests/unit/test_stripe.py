"""The heads' driver: I2S bytes to intervals without allocation, the start and the end of a swipe, what is none."""

import asyncio

import flux
import micropython
from stripe_cards import ISSUER, on_track_1, on_track_2, own
from vclock import VirtualClock

from kassette.codec import swipe, tracks
from kassette.drivers.stripe import Stripe

_QUIET = bytes(2048)
_HIGH = b"\xff" * 2048


class Sampler:
    """`hal.Samples` that plays blocks; behind them the line is quiet for ever."""

    def __init__(self, clock, blocks=()):
        self.block_len = 2048
        self.blocks = list(blocks)
        self.taken = 0
        self._clock = clock
        self._rest = _QUIET

    async def readinto(self, buffer):
        if self.blocks:
            block = self.blocks.pop(0)
            self._rest = _HIGH if block[-4] & 1 else _QUIET
        else:
            block = self._rest
        await self._clock.sleep_ms(64)
        buffer[:] = block
        self.taken += 1


def played(moments, level=0, delay=5000):
    """The blocks of a line on which a swipe begins `delay` samples into the first one."""
    count = ((moments[-1] if moments else 0) + delay) // 16384 + 1
    data = flux.i2s([m + delay for m in moments], count, level)
    return [data[at : at + 2048] for at in range(0, len(data), 2048)]


class Bench:
    def __init__(self, *lines, most=(520, 1420)):
        self.clock = VirtualClock()
        longest = max(len(line) for line in lines)
        self.samplers = []
        for line in lines:
            rest = _HIGH if line and line[-1][-4] & 1 else _QUIET
            self.samplers.append(Sampler(self.clock, line + [rest] * (longest - len(line))))
        self.stripe = Stripe(self.samplers, most[: len(lines)], self.clock, swipe.read)

    def run(self, script):
        async def both():
            task = asyncio.create_task(self.stripe.capture_forever())
            try:
                return await script(self.stripe)
            finally:
                task.cancel()

        return asyncio.run(self.clock.run(both()))


async def one(stripe):
    """(verdict, digits) of the next swipe, (None, "") after ten seconds without one."""
    digits = bytearray(tracks.OURS_LEN)
    if not await stripe.wait(10000):
        return None, ""
    verdict, _ = stripe.read(digits, ISSUER)
    return verdict, digits.decode() if verdict == tracks.OURS else ""


def moments(text, **how):
    return flux.swipe(flux.stripe(text), **how)


def test_the_intervals_are_those_of_the_line():
    for level in (0, 1):
        for delay in (0, 31, 32, 16383, 16384, 20001):
            noise = flux.Noise(delay)
            edges = [1]
            for _ in range(300):
                edges.append(edges[-1] + 1 + int(noise.uniform() ** 3 * 90))
            edges.append(edges[-1] + 15000)
            bench = Bench([_HIGH if level else _QUIET] * 2 + played(edges, level, delay))
            stripe = bench.stripe

            async def capture(_, stripe=stripe):
                assert await stripe.wait(10000)
                return list(stripe._intervals[0][: stripe._counts[0]])

            found = bench.run(capture)
            assert len(found) == len(edges) and found[1:] == flux.intervals(edges)


def test_nothing_is_allocated():
    bench = Bench(played(moments(on_track_2(own()))))
    stripe = bench.stripe
    for block in bench.samplers[0].blocks + [_QUIET]:
        stripe._block[:] = block
        micropython.heap_lock()
        stripe._take(0)
        micropython.heap_unlock()
    assert stripe._counts[0] > 250


def test_a_swipe_on_both_tracks_at_any_speed():
    for speed in (10, 40, 150):
        digits = own(speed)
        lines = [played(moments(text, start=speed, end=speed)) for text in (on_track_2(digits), on_track_1(digits))]
        assert Bench(*lines).run(one) == (tracks.OURS, digits)
        assert Bench(lines[0]).run(one) == (tracks.OURS, digits)
        assert Bench([], lines[1]).run(one) == (tracks.OURS, digits)


def test_several_swipes_and_levels():
    first, second = own(1), own(2)
    line = played(moments(on_track_2(first)), 1, 30)
    bench = Bench(line)

    async def script(stripe):
        found = [await one(stripe)]
        sampler = bench.samplers[0]
        level = sampler._rest[0] & 1
        sampler.blocks = played(moments(on_track_2(second), is_backward=True), level)
        found.append(await one(stripe))
        found.append(await one(stripe))
        return found

    assert bench.run(script) == [(tracks.OURS, first), (tracks.OURS, second), (None, "")]


def test_what_nobody_reads_is_kept_and_the_next_one_missed():
    first, second = own(1), own(2)
    line = played(moments(on_track_2(first)))
    level = line[-1][-4] & 1
    line += [_HIGH if level else _QUIET] * 3
    bench = Bench(line + played(moments(on_track_2(second)), level))

    async def script(stripe):
        await bench.clock.sleep_ms(2000)
        return [await one(stripe), await one(stripe)]

    assert bench.run(script) == [(tracks.OURS, first), (None, "")]


def test_what_nobody_reads_is_overwritten_when_it_is_forgotten():
    line = played(moments(on_track_2(own())))
    for blocks in (line, line[: len(line) // 2]):  # a whole swipe, and one that is still under way
        b = Bench(blocks, most=(520,))

        async def script(stripe, b=b, blocks=blocks):
            while b.samplers[0].taken < len(blocks):
                await b.clock.sleep_ms(64)
            assert any(stripe._intervals[0])
            stripe.forget()
            assert not any(stripe._intervals[0]) and not any(stripe._block)

        b.run(script)


def test_sparks_are_no_swipe():
    for edges in ([], [100], [100, 140, 900]):
        assert Bench(played(edges)).run(one) == (None, "")
    assert Bench(played([100, 140, 900, 1300])).run(one) == (tracks.NO_STRIPE, "")


def test_a_line_that_never_rests_is_bounded():
    hum = [flux.i2s(range(0, 16384, 37), 1)] * 100
    bench = Bench(hum)

    async def script(stripe):
        found = await one(stripe)
        return found, bench.samplers[0].taken

    assert bench.run(script) == ((tracks.SWIPE_AGAIN, ""), 40)


def test_idle_is_one_comparison():
    bench = Bench([_QUIET] * 50 + [_HIGH])
    stripe = bench.stripe
    bench.run(one)
    assert stripe._counts == [0] and bench.samplers[0].taken > 100
