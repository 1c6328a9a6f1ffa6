"""Run by MicroPython: one connection of `shared.tls_stream`, told on stdout. tls_probe.py PORT FOLDER HOST STEP..."""

import asyncio
import os
import socket
import sys
from asyncio import core

sys.path[:0] = ["firmware", "boards"]
from shared import tls_stream  # noqa: E402

from kassette.errors import Fault  # noqa: E402

_MS = 400
_LONG_MS = 60_000


class Identity:
    def __init__(self, folder, host):
        self.host = host
        for name in ("server_ca", "client_cert", "client_key"):
            with open("%s/%s.der" % (folder, name), "rb") as file:
                setattr(self, name, file.read())


class Meter(core.IOQueue):
    turns = 0

    def wait_io_event(self, dt):
        Meter.turns += 1
        super().wait_io_event(dt)


async def play(port, identity, steps):
    address = socket.getaddrinfo("127.0.0.1", port)[0][-1]
    ms = _MS if steps[0].isupper() else _LONG_MS
    stream = await tls_stream.connect(socket.AF_INET, address, tls_stream.context(identity), identity.host, ms)
    try:
        await converse(stream, steps)
    finally:
        stream.close()


async def converse(stream, steps):
    buffer = memoryview(bytearray(100))
    for step in steps:
        ms = _MS if step.isupper() else _LONG_MS
        if step.lower() == "write":
            await stream.write(b"hello", ms)
        elif step == "flood":
            await stream.write(bytes(6_000_000), ms)
        elif step.lower() == "read":
            n = await stream.readinto(buffer, ms)
            print("read", bytes(buffer[:n]))
        elif step == "abandon":
            task = asyncio.create_task(stream.write(b"hello", ms))
            await asyncio.sleep_ms(50)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                print("abandoned")


def main(port, folder, host, *steps):
    files = len(os.listdir("/proc/self/fd"))
    core.IOQueue = Meter
    core.new_event_loop()
    try:
        asyncio.run(play(int(port), Identity(folder, host), steps))
        print("closed")
    except Fault as fault:
        print("fault", fault.code, fault.at)
    print("turns", Meter.turns)
    print("files", len(os.listdir("/proc/self/fd")) - files)


main(*sys.argv[1:])
