"""Start the simulated terminal: micropython main.py WIRE RELAY BUILD_TIME SIZE...

Like the chip's own main.py it knows nothing but how to find a whole bundle in one of the two slots.
"""

import gc
import sys

from shared import bundle_vfs
from sim import hostlink

_SLOTS = ((3, "A"), (4, "B"))
_COLLECT_BYTES = 2048  # collect this often: an object that stays must not come to lie high in the heap and split it
_PARTS = ("core", "books", "counter", "terminal")  # the linked modules, in the order that fits the smallest heap


def mount(sizes):
    import vfs

    for partition, name in _SLOTS:

        def read(at, buffer, partition=partition):
            hostlink.flash_read(partition, at, buffer)

        if bundle_vfs.verify(read, sizes[partition]):
            vfs.mount(bundle_vfs.BundleVfs(read), "/bundle")
            sys.path[:] = ["/bundle", ".frozen"]
            del sys.modules["shared"], sys.modules["sim"]  # their other modules come out of the bundle
            return
        hostlink.say("E704 bundle %s is not whole" % name)
    sys.exit(4)


def main(wire, relay, build_time, *sizes):
    sizes = [int(size) for size in sizes]
    hostlink.connect(wire.encode())
    gc.threshold(_COLLECT_BYTES)
    mount(sizes)
    for part in _PARTS:
        __import__("kassette." + part)
        gc.collect()
    from kassette import core, terminal

    terminal.main(core.Board(sizes, relay.encode(), int(build_time), lambda name: open("/bundle/data/" + name, "rb")))


main(*sys.argv[1:])
