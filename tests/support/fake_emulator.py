#!/usr/bin/env python3
"""Stands in for $KASSETTE_QEMU in the rig's own tests: its sockets, its monitor, and a terminal that knows few words.

It boots at the monitor's first `cont`; keys 1 to 9 are told on the console, A writes a byte to the flash, B asks the
reader who it is, C dies, D resets.
"""

import json
import os
import select
import socket
import struct
import sys
import zlib
from pathlib import Path

NAMES = "123A456B789C*0#D"
_READER_ASKED = bytes.fromhex("55550000000000000000000000000000000000ff03fdd414011700")


def main():
    words = sys.argv[1:]
    if "-broken" in words:
        sys.exit("no such machine")
    flash = words[words.index("-drive") + 1].split(",")[0].removeprefix("file=")
    places = [words[i + 1] for i, word in enumerate(words) if word in ("-serial", "-qmp")]
    console, panel, reader, monitor = [connect(place) for place in places]
    Fake(Path(flash), console, panel, reader, monitor).run()


def connect(place):
    address, option = place.split(",")
    assert option == "nodelay=on", place
    _, host, port = address.split(":")
    return socket.create_connection((host, int(port)))


def frame(kind, body=b""):
    inner = struct.pack("<BH", kind, len(body)) + body
    return b"\xa5" + inner + struct.pack("<I", zlib.crc32(inner))


class Fake:
    def __init__(self, flash, console, panel, reader, monitor):
        self.flash, self.console, self.panel, self.reader, self.monitor = flash, console, panel, reader, monitor
        self.is_running = self.has_booted = False
        self.pressed = 0

    def run(self):
        self.monitor.sendall(b'{"QMP": {}}\n')
        while True:
            lines = [self.console, self.panel, self.reader] if self.is_running else []
            for ready in select.select([self.monitor, *lines], [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                {self.monitor: self.command, self.panel: self.keys}.get(ready, self.echo)(data)

    def say(self, text):
        self.console.sendall(text.encode() + b"\r\n")

    def command(self, data):
        for line in data.splitlines():
            word = json.loads(line)
            name = word["execute"]
            if name == "set_link":
                self.monitor.sendall(b'{"error": {"desc": "no such device"}}\n')
                continue
            if name in ("cont", "stop"):
                self.is_running = name == "cont"
                self.monitor.sendall(b'{"event": "%s"}\n' % name.upper().encode())
            self.monitor.sendall(b'{"return": {}}\n')
            if name == "cont" and not self.has_booted:
                self.has_booted = True
                self.boot()

    def boot(self):
        self.say("boot %s" % self.flash.read_bytes()[:1].hex())
        self.panel.sendall(b"\x00\xa5garbage" + frame(0x01, b"\x01"))

    def keys(self, data):
        """Messages of the panel come whole here: they are short and few."""
        while data:
            kind, length = struct.unpack_from("<BH", data, 1)
            body, data = data[4 : 4 + length], data[8 + length :]
            if kind == 0x84:
                self.panel.sendall(frame(0x06, b"\x01" + struct.pack("<8I", *range(1, 9))))
            elif kind == 0x82:
                now = body[0] | body[1] << 8
                for i, name in enumerate(NAMES):
                    if now & ~self.pressed & 1 << i:
                        self.key(name)
                self.pressed = now

    def key(self, name):
        if name == "A":
            with self.flash.open("r+b") as file:
                file.write(b"A")
        self.say("key " + name)
        self.panel.sendall(frame(0x03, b"\x64\x00"))
        if name == "B":
            self.reader.sendall(_READER_ASKED)
        elif name == "C":
            os._exit(3)
        elif name == "D":
            self.boot()

    def echo(self, data):
        self.say("heard " + data.hex())


main()
