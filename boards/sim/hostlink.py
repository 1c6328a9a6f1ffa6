"""The one wire between the simulated terminal and its host: device bytes, pins, flash, and time itself.

One AF_UNIX stream carries everything in the order in which the firmware did it, so a run is the same run every
time. A message is `op u8 | channel u8 | length u16 | body`; those that ask get a reply of the same shape.
The firmware never waits in `poll`: when nothing is ready it says IDLE(now, until) and blocks until the host's GRANT,
which moves time and may carry the bytes of one device (host_tools/kassette_host/sim/wire.py is the other end).
"""

import socket
import sys
from asyncio import core
from struct import pack_into, unpack_from

from micropython import const

_WRITE = const(1)
_FLASH_READ = const(6)
_SAY = const(11)
_IDLE = const(12)
_RESTART = const(14)
_TIME = const(15)

_HEAD = const(4)
_PART = const(512)  # bytes of one write of a link
_GRANT_LEN = const(16)  # now u64, lease u64; a device's bytes follow
_BIG = const(1 << 40)  # so far ahead of the machine's own ticks that asyncio's C parts read every key as "later"
_NEVER = const((1 << 62) - 1)
_NET = const(1)  # flag of IDLE: a task waits for the network

_now_us = 0
_told_us = 0  # the time that the host believes: within a lease the firmware moves on by itself
_lease_us = 0
_is_dirty = True
_socket = None
_buffer = bytearray(_HEAD + _PART + 16)  # messages that are not sent yet, then the reply
_pending = 0  # bytes of such messages
reply = memoryview(_buffer)[_HEAD:]  # the body of the last reply, valid until the next message
receivers = {}  # channel -> callable(view of the bytes)


def connect(name: bytes) -> None:
    """Meet the host at the abstract AF_UNIX name and let time be its time from here on."""
    global _socket
    _socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    _socket.connect(b"\x01\x00\x00" + name)
    core.ticks = ticks_ms
    core.IOQueue = HostQueue
    core.new_event_loop()


def ticks_ms() -> int:
    return _BIG + _now_us // 1000


def now_ms() -> int:
    return _now_us // 1000


def send(op: int, channel: int, data=b"") -> None:
    """Put a message behind those that wait; they leave together, as soon as one is among them that asks."""
    global _is_dirty, _told_us, _pending
    _is_dirty = True
    if _told_us != _now_us:
        _told_us = _now_us
        send(_TIME, 0, _now_us.to_bytes(8, "little"))
    length = len(data)
    if _pending + _HEAD + length > len(_buffer):
        flush()
    pack_into("<BBH", _buffer, _pending, op, channel, length)
    _pending += _HEAD
    if length:
        _buffer[_pending : _pending + length] = data
        _pending += length


def flush() -> None:
    """Let the host have what waits."""
    global _pending
    _socket.write(_buffer, _pending)
    _pending = 0


def ask(op: int, channel: int, data=b"", into=reply) -> int:
    """Send and wait for the reply; the length of its body, which lies in `into`."""
    send(op, channel, data)
    flush()
    if not _socket.readinto(_buffer, _HEAD):
        sys.exit(3)  # the host is gone: so is the power
    length = _buffer[2] | _buffer[3] << 8
    _socket.readinto(into, length)
    return length


def write(channel: int, data) -> None:
    for at in range(0, len(data), _PART):
        send(_WRITE, channel, data[at : at + _PART])


def say(line: str) -> None:
    send(_SAY, 0, line.encode())
    flush()


def restart() -> None:
    send(_RESTART, 0)
    flush()
    sys.exit(0)


_range = bytearray(8)


def flash_read(partition: int, at: int, buffer) -> None:
    """Read into all of `buffer`, up to 65,535 bytes. It costs no heap, frame included: screens read thousands."""
    pack_into("<II", _range, 0, at, len(buffer))
    ask(_FLASH_READ, partition, _range, buffer)


def flash_change(op: int, partition: int, data) -> int:
    """Program or erase; time passes. 0, or 1 when the chip reports an error."""
    global _now_us, _told_us
    ask(op, partition, data)
    status, _now_us = unpack_from("<BQ", reply)
    _told_us = _now_us
    return status


_idle = bytearray(20)


def _rendezvous(until_us: int, flags: int) -> None:
    """Block until the host grants time; hand the bytes that came with it to their device."""
    global _now_us, _told_us, _lease_us, _is_dirty
    _told_us = _now_us
    pack_into("<IQQ", _idle, 0, flags, _now_us, until_us)
    length = ask(_IDLE, 0, _idle)
    _now_us, _lease_us = unpack_from("<QQ", reply)
    _told_us = _now_us
    _is_dirty = False
    if length > _GRANT_LEN:
        receivers[_buffer[1]](reply[_GRANT_LEN:length])


_poll = core.IOQueue.wait_io_event


class HostQueue(core.IOQueue):
    """asyncio's idle hook: sockets are looked at without waiting, then time is asked for."""

    def wait_io_event(self, dt):
        global _now_us
        queue = core._task_queue
        _poll(self, 0)
        task = queue.peek()
        while not task or core.ticks_diff(task.ph_key, ticks_ms()) > 0:
            until_us = _NEVER if not task else (task.ph_key - _BIG) * 1000
            flags = _NET if self.map else 0
            if not _is_dirty and not flags and until_us < _lease_us:
                _now_us = until_us  # within the lease nothing can happen outside
                return
            _rendezvous(until_us, flags)
            _poll(self, 0)  # all that was sent before the GRANT is visible now
            task = queue.peek()
