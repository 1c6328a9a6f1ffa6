"""The virtual key matrix, and the real keypad driver on it."""

import asyncio

from vclock import VirtualClock

from kassette.drivers.keypad import Keypad
from kassette.errors import Cancelled
from kassette_host.sim.timeline import Port, Timeline
from kassette_host.virtual.buzzer import VirtualBuzzer
from kassette_host.virtual.keypad import NAMES, VirtualKeypad


class Matrix:
    def __init__(self):
        self.timeline = Timeline()
        self.edges = []
        self.keypad = VirtualKeypad(
            lambda: self.edges.append(self.timeline.now_us), Port(self.timeline, lambda _: None)
        )

    def run(self, us=10_000):
        end = self.timeline.now_us + us
        while (due := self.timeline.next_us()) is not None and due <= end:
            self.timeline.run_next()
        self.timeline.advance(end)

    @property
    def columns(self):
        return [self.keypad.column(i) for i in range(4)]


def test_a_key_joins_its_row_and_its_column_only():
    for index, name in enumerate(NAMES):
        m = Matrix()
        m.keypad.press(name)
        m.run()
        for row in range(4):
            m.keypad.drive(row, 0)
            assert m.columns == [0 if index == 4 * row + column else 1 for column in range(4)]
            m.keypad.drive(row, 1)
        m.keypad.release(name)
        m.run()
        m.keypad.drive(index // 4, 0)
        assert m.columns == [1, 1, 1, 1]


def test_contacts_bounce_the_same_way_every_time():
    traces = []
    for _ in range(2):
        m = Matrix()
        for row in range(4):
            m.keypad.drive(row, 0)
        m.keypad.press("5")
        m.run()
        m.keypad.release("5")
        m.run()
        traces.append(m.edges)
    assert traces[0] == traces[1] == [0, 700, 1900, 10_300, 11_100]
    assert m.keypad.held == "" and m.columns == [1, 1, 1, 1]


def test_edges_are_falls_of_a_column():
    m = Matrix()
    m.keypad.press("1")
    m.run()
    assert m.edges == [], "no row is driven, so no column falls"
    m.keypad.drive(0, 0)
    m.keypad.drive(0, 0)
    assert len(m.edges) == 1
    m.keypad.drive(0, 1)
    assert len(m.edges) == 1


def test_three_keys_make_a_ghost():
    m = Matrix()
    m.keypad.bounces_us = ()
    for key in "124":
        m.keypad.press(key)
    m.keypad.drive(1, 0)
    assert m.columns == [0, 0, 1, 1], "row of 4: column 0 by the key, column 1 by way of 1 and 2"
    m.keypad.release("2")
    assert m.columns == [0, 1, 1, 1]


def test_pressing_again_before_the_bounce_is_over():
    m = Matrix()
    m.keypad.press("8")
    m.run(500)
    m.keypad.release("8")
    m.run(100)
    m.keypad.press("8")
    m.run()
    assert m.keypad.held == "8"


class _Pin:
    def __init__(self, drive):
        self._drive = drive

    def value(self, level):
        self._drive(level)


def test_the_real_driver_reads_what_fingers_press():
    clock = VirtualClock()
    m = Matrix()
    edge = clock.signal()
    m.keypad._on_edge = edge.set

    class Keys:
        rows = [_Pin(drive=lambda level, row=row: m.keypad.drive(row, level)) for row in range(4)]
        low_columns = m.keypad.low_columns

    Keys.edge = edge
    driver = Keypad(Keys, clock)

    async def live(ms):
        for _ in range(ms):
            await clock.sleep_ms(1)
            m.run(1000)

    async def main():
        task = asyncio.create_task(driver.scan_forever())
        await live(1)
        for key in "1250#":
            m.keypad.press(key)
            await live(60)
            m.keypad.release(key)
            await live(60)
        keys = ""
        try:
            while True:
                keys += await driver.key(0)
        except Cancelled:
            pass
        task.cancel()
        return keys

    assert asyncio.run(clock.run(main())) == "1250#"


def test_the_buzzer_remembers_its_tones():
    timeline = Timeline()
    buzzer = VirtualBuzzer(Port(timeline, lambda _: None))
    buzzer.receive((2700).to_bytes(2, "little"))
    assert buzzer.hz == 2700
    timeline.advance(120_000)
    buzzer.receive(b"\0\0")
    timeline.advance(500_000)
    buzzer.receive(b"\0\0")
    assert buzzer.hz == 0 and buzzer.played == [(0, 2700, 120_000)]
