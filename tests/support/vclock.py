"""A clock that jumps: tests of 60-second time-outs run in microseconds, on both runtimes."""

import asyncio

_SETTLE = 8  # scheduler turns in which ready tasks may run before time moves


class VirtualSignal:
    def __init__(self, clock):
        self._clock = clock
        self._is_set = False

    def set(self):
        self._is_set = True

    async def wait(self, timeout_ms=-1):
        deadline = self._clock.now + timeout_ms
        while not self._is_set:
            if timeout_ms >= 0 and self._clock.now >= deadline:
                return False
            if timeout_ms >= 0:
                await self._clock.sleep_ms(min(10, deadline - self._clock.now))
            else:
                await asyncio.sleep(0)
        self._is_set = False
        return True


class VirtualClock:
    """`hal.Clock` whose time moves only when every task sleeps."""

    def __init__(self, now=0):
        self.now = now
        self._sleepers = []  # (deadline_ms, order, event), kept sorted
        self._order = 0

    def ticks_ms(self):
        return self.now

    def elapsed_ms(self, since):
        return self.now - since

    def signal(self):
        return VirtualSignal(self)

    async def sleep_ms(self, ms):
        event = asyncio.Event()
        self._order += 1
        self._sleepers.append((self.now + ms, self._order, event))
        self._sleepers.sort(key=lambda s: s[:2])
        await event.wait()

    async def run(self, coro):
        out = []

        async def guard():  # MicroPython reports a task that dies unawaited at once
            try:
                out.append((await coro, None))
            except Exception as error:
                out.append((None, error))

        self._task = asyncio.create_task(guard())  # CPython forgets a task that nobody holds
        while not out:
            for _ in range(_SETTLE):
                await asyncio.sleep(0)
            if not out:
                self.now, _, event = self._sleepers.pop(0)  # IndexError: deadlock, nothing can wake
                event.set()
        value, error = out[0]
        if error:
            raise error
        return value
