"""The key matrix: one key a press, whatever bounces, and no work while no key is down."""

import asyncio

from key_matrix import NAMES, Matrix
from vclock import VirtualClock

from kassette.drivers.keypad import Keypad
from kassette.errors import Cancelled


class Bench:
    def __init__(self):
        self.clock = VirtualClock()
        self.matrix = Matrix(self.clock)
        self.keypad = Keypad(self.matrix, self.clock)

    def run(self, script):
        """Run the scanning task beside `await script(self)`."""

        async def both():
            task = asyncio.create_task(self.keypad.scan_forever())
            await asyncio.sleep(0)
            try:
                return await script(self)
            finally:
                task.cancel()

        asyncio.run(self.clock.run(both()))

    async def hold(self, keys, ms=60):
        self.matrix.down(keys)
        await self.clock.sleep_ms(ms)
        self.matrix.up(keys)
        await self.clock.sleep_ms(60)

    async def pressed(self):
        """All the keys that wait."""
        keys = ""
        while True:
            try:
                keys += await self.keypad.key(0)
            except Cancelled:
                return keys


def test_every_key_has_its_name():
    async def script(b):
        for name in NAMES:
            await b.hold(name)
            assert await b.keypad.key(0) == name

    Bench().run(script)


def test_a_key_held_for_long_counts_once():
    async def script(b):
        await b.hold("5", 3000)
        assert await b.pressed() == "5"

    Bench().run(script)


def test_contacts_that_bounce_make_one_key():
    async def script(b):
        for ms in (1, 2, 1, 3, 1):
            b.matrix.down("7")
            await b.clock.sleep_ms(ms)
            b.matrix.up("7")
            await b.clock.sleep_ms(ms)
        await b.hold("7")
        for ms in (1, 2, 1):
            b.matrix.down("7")
            await b.clock.sleep_ms(ms)
            b.matrix.up("7")
            await b.clock.sleep_ms(2)
        await b.clock.sleep_ms(100)
        assert await b.pressed() == "7"

    Bench().run(script)


def test_a_spike_is_no_key():
    async def script(b):
        b.matrix.down("1")
        b.matrix.up("1")
        await b.clock.sleep_ms(200)
        assert await b.pressed() == ""

    Bench().run(script)


def test_the_next_key_may_come_before_the_last_is_up():
    async def script(b):
        b.matrix.down("1")
        await b.clock.sleep_ms(50)
        b.matrix.down("2")
        await b.clock.sleep_ms(50)
        b.matrix.up("1")
        await b.clock.sleep_ms(50)
        b.matrix.up("2")
        await b.clock.sleep_ms(50)
        assert await b.pressed() == "12"

    Bench().run(script)


def test_two_keys_at_one_instant_count_for_nothing():
    async def script(b):
        await b.hold("19")
        assert await b.pressed() == ""

    Bench().run(script)


def test_three_keys_make_a_ghost_and_none_of_them_counts():
    async def script(b):
        b.matrix.down("1")
        await b.clock.sleep_ms(50)
        b.matrix.down("2")
        await b.clock.sleep_ms(50)
        b.matrix.down("4")  # closes the way round to 5, which nobody touched
        await b.clock.sleep_ms(50)
        b.matrix.up("4")
        await b.clock.sleep_ms(50)
        b.matrix.up("12")
        await b.clock.sleep_ms(50)
        assert await b.pressed() == "12"

    Bench().run(script)


def test_a_third_key_counts_for_nothing_also_where_it_makes_no_ghost():
    async def script(b):
        for key in "123":
            b.matrix.down(key)
            await b.clock.sleep_ms(50)
        b.matrix.up("123")
        await b.clock.sleep_ms(50)
        assert await b.pressed() == "12"

    Bench().run(script)


def test_nothing_is_scanned_while_no_key_is_down():
    async def script(b):
        await b.hold("1")
        await b.clock.sleep_ms(100)
        before = b.matrix.reads
        await b.clock.sleep_ms(3600000)
        assert b.matrix.reads == before
        await b.hold("2")
        assert await b.pressed() == "12"

    Bench().run(script)


def test_a_key_that_falls_while_the_scan_ends_is_seen():
    async def script(b):
        b.matrix.down("1")
        await b.clock.sleep_ms(60)
        b.matrix.up("1")
        await b.clock.sleep_ms(19)  # between the two scans that find every key up
        await b.hold("3")
        assert await b.pressed() == "13"

    Bench().run(script)


def test_eight_keys_are_remembered_and_no_more():
    async def script(b):
        for key in "1234567890":
            await b.hold(key)
        assert await b.pressed() == "12345678"

    Bench().run(script)


def test_waiting_ends_with_cancelled():
    async def script(b):
        start = b.clock.now
        try:
            await b.keypad.key(60000)
        except Cancelled as end:
            assert end.code == 802
        else:
            raise AssertionError("a key out of nothing")
        assert b.clock.now - start == 60000

    Bench().run(script)


def test_a_waiting_task_wakes_at_the_key():
    async def script(b):
        async def press():
            await b.clock.sleep_ms(5000)
            await b.hold("#")

        task = asyncio.create_task(press())
        assert await b.keypad.key(60000) == "#"
        assert 5000 < b.clock.now < 5100
        await task

    Bench().run(script)


def test_a_key_can_be_put_back_and_keys_forgotten():
    async def script(b):
        await b.hold("4")
        await b.hold("2")
        key = await b.keypad.key(0)
        b.keypad.unread(key)
        assert await b.pressed() == "42"
        await b.hold("#")
        b.keypad.forget()
        assert await b.pressed() == ""

    Bench().run(script)


def test_keys_that_wait_leave_nothing_behind():
    """They may be a PIN: they wait in one place that is overwritten, never in a string."""

    async def script(b):
        queue = b.keypad._queue
        assert isinstance(queue, bytearray)
        for taken in (True, False):
            for key in "864297":
                await b.hold(key)
            assert any(queue)
            if taken:
                assert await b.pressed() == "864297"
            else:
                b.keypad.forget()
            assert not any(queue) and b.keypad._queue is queue

    Bench().run(script)


def test_keys_that_are_put_back_before_a_full_queue():
    async def script(b):
        for key in "23456789":
            await b.hold(key)
        assert await b.keypad.key(0) == "2"
        b.keypad.unread("2")
        b.keypad.unread("1")
        assert await b.pressed() == "12345678", "the last one has no room"

    Bench().run(script)


def test_stop_releases_every_row():
    async def script(b):
        b.keypad.stop()
        assert not any(b.matrix.driven)

    Bench().run(script)
