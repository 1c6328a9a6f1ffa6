"""The heads of the simulated stripe reader: `hal.Samples` with blocks of 16 ms. Imported when somebody is to swipe."""

from micropython import const
from shared.signal import Signal
from sim import hostlink

_SAMPLE = const(16)  # a message: start with 1, stop with 0


class Samples:
    def __init__(self, channel):
        self.block_len = 512
        self._channel = channel
        self._into = None
        self._signal = Signal()
        hostlink.receivers[channel] = self._receive

    def _receive(self, data):
        if self._into:
            self._into[:] = data
            self._into = None
            self._signal.set()

    async def readinto(self, buffer):
        self._into = buffer
        await self._signal.wait()

    def stop(self):
        hostlink.ask(_SAMPLE, 0, b"\x00")
        hostlink.receivers.pop(self._channel)
