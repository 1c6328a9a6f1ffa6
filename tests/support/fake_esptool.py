"""Stands in for esptool in the rig's tests: fake_esptool.py FLASH_FILE, then esptool's words. Says what it did."""

import pathlib
import sys

flash = pathlib.Path(sys.argv[1])
words = sys.argv[2:]
if "write-flash" in words:
    parts = words[words.index("write-flash") + 1 :]
    image = bytearray(flash.read_bytes())
    for at, name in zip(parts[::2], parts[1::2]):
        data = pathlib.Path(name).read_bytes()
        image[int(at, 16) : int(at, 16) + len(data)] = data
        with flash.with_name("said").open("a") as said:
            print("write", at, len(data), file=said)
    flash.write_bytes(image)
elif "read-flash" in words:
    at, size, name = words[words.index("read-flash") + 1 :]
    pathlib.Path(name).write_bytes(flash.read_bytes()[int(at, 16) :][: int(size, 16)])
else:
    sys.exit("Failed to connect: no board here")
