"""`hal.Signal` on MicroPython's asyncio: wake or time out, without an allocation per wait.

`asyncio.wait_for_ms` around an Event costs 970 bytes a turn; here the waiting task itself lies in the scheduler's
queue with its deadline, and `set` moves it to the front.
"""

from asyncio import core


class Signal:
    def __init__(self):
        self._is_set = False
        self._task = None
        self._parked = core.TaskQueue()  # a task that waits for ever; cancelling finds it by task.data
        self._deadline = -1

    def set(self):
        self._is_set = True
        task = self._task
        if task:
            self._task = None
            (core._task_queue if self._deadline >= 0 else self._parked).remove(task)
            core._task_queue.push(task)

    async def wait(self, timeout_ms=-1):
        if not self._is_set and timeout_ms:
            self._deadline = timeout_ms
            await self
        was_set = self._is_set
        self._is_set = False
        return was_set

    def __iter__(self):
        task = self._task = core.cur_task
        if self._deadline >= 0:
            core._task_queue.push(task, core.ticks_add(core.ticks(), self._deadline))
        else:
            self._parked.push(task)
            task.data = self._parked
        try:
            yield
        finally:
            self._task = None
