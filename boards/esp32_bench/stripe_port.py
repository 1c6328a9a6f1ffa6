"""The heads of a stripe reader at the I2S ports: `hal.Samples` with blocks of 64 ms. Imported when somebody is to swipe.

An I2S port that receives shifts its data pin in at each tick of its own bit clock, whatever hangs there: 4,000 frames a
second of two 32-bit words are 256,000 samples a second, by DMA and without a gap. 16-bit words would lose every other
sample. Source: machine_i2s.c of MicroPython's ESP32 port, v1.24.
"""

import sys
from asyncio import core

from machine import I2S, Pin
from micropython import const

_RATE = const(4000)  # frames a second
_BLOCK_LEN = const(2048)  # a DMA buffer of the port
_BUFFERS_LEN = const(16384)  # half a second, for a firmware that is busy elsewhere
# bit clock and word clock, which the port wants and nothing hangs on; what a head says
_PINS = ((18, 19, 34), (22, 23, 35))


class Samples:
    block_len = _BLOCK_LEN

    def __init__(self, number):
        clock, word, data = [Pin(pin) for pin in _PINS[number]]
        self._port = I2S(
            number, sck=clock, ws=word, sd=data, mode=I2S.RX, bits=32, format=I2S.STEREO, rate=_RATE, ibuf=_BUFFERS_LEN
        )

    def _readable(self):
        yield core._io_queue.queue_read(self._port)  # also tells the port not to block

    async def readinto(self, buffer):
        rest = memoryview(buffer)
        while rest:
            await self._readable()
            rest = rest[self._port.readinto(rest) or 0 :]

    def stop(self):
        self._port.deinit()


def take(count):
    """Start the ports of so many heads. This module goes; the class lives as long as they do."""
    del sys.modules["esp32_bench.stripe_port"]
    del sys.modules["esp32_bench"].stripe_port
    return [Samples(number) for number in range(count)]
