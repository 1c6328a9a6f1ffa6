"""Start the terminal: find a whole bundle in one of the two slots, mount it, import its parts, run.

It lies in the flash's file system, compiled, with what it imports; the file system is left behind after it.
"""

import gc
import sys

from esp32_bench import raw
from micropython import const
from shared import bundle_vfs

_SLOTS = ("bundle_a", "bundle_b")
_COLLECT_BYTES = const(
    2048
)  # collect this often: an object that stays must not come to lie high in the heap and split it
_PARTS = ("core", "books", "counter", "terminal")  # the linked modules, in the order that fits the smallest heap
_NETWORK = "/network.txt"  # SSID, key, numeric address of the back office: a line each


def _mount():
    import vfs

    for label in _SLOTS:
        partition, read = raw.open_partition(label)
        if bundle_vfs.verify(read, partition.info()[3]):
            vfs.umount("/")
            vfs.mount(bundle_vfs.BundleVfs(read), "/bundle")
            sys.path[:] = ["/bundle", ".frozen"]
            for package in ("esp32_bench", "shared"):
                sys.modules[package].__path__ = "/bundle/" + package  # the rest of it comes out of the bundle
            print("bundle", label)
            return
        print("E704 %s is not whole" % label)
    from esp32_bench import dead

    dead.show("E704")
    sys.exit(4)


def _network():
    try:
        with open(_NETWORK) as file:
            return file.read().split("\n")[:3]
    except OSError:
        return "", "", ""


def main():
    gc.threshold(_COLLECT_BYTES)
    network = _network()
    _mount()
    for part in _PARTS:
        __import__("kassette." + part)
        gc.collect()
    from kassette import core, terminal

    terminal.main(core.Board(*network))


main()
