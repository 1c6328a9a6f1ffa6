"""Start the terminal: find a whole bundle in one of the two slots, mount it, import its parts, run.

With what it imports it becomes one file of text, the chip's main.py (`bundle.boot_files`).
"""

import gc
import sys

import esp32
from esp32_bench.raw import open_partition
from machine import UART
from micropython import const
from shared.bundle_vfs import BundleVfs, verify

_SECOND_AREA = const(46 * 1024)
_BLOCK = const(8 * 1024)
_BLOCKS = const(7)  # more than the first area of 56,000 bytes has room for
_COLLECT_BYTES = const(4096)  # so often: what stays must not lie high in the heap and split it; a collection takes 7 ms
_NETWORK = "/network.txt"  # SSID, key, numeric address of the back office, number of stripe heads: a line each


def _grow():
    """Give the collector its second area now, smaller than it would take by itself; the block that keeps it there.

    It doubles its heap when that is full, from 56,000 to 112,000 bytes, and TLS is then short of 6 kB. But it takes no
    more than the largest piece that the system has: so a driver's buffer lies there meanwhile. An empty area is given
    back, hence the block.
    """
    largest = max([region[2] for region in esp32.idf_heap_info(esp32.HEAP_DATA)])
    ballast = UART(1, rxbuf=largest - _SECOND_AREA)
    blocks = [bytearray(_BLOCK) for _ in range(_BLOCKS)]
    ballast.deinit()
    return blocks[-1]


def _mount():
    import vfs

    for label in ("bundle_a", "bundle_b"):
        partition, read = open_partition(label)
        if verify(read, partition.info()[3]):
            vfs.umount("/")
            vfs.mount(BundleVfs(read), "/bundle")
            sys.path[:] = ["/bundle", ".frozen"]
            print("bundle", label)
            return
        print("E704 %s is not whole" % label)
    sys.path.append("")
    import dead

    dead.show("E704")
    sys.exit(4)


def _network():
    try:
        with open(_NETWORK) as file:
            return file.read().split("\n")[:4]
    except OSError:
        return "", "", "", ""


def _main():
    gc.threshold(_COLLECT_BYTES)
    kept = _grow()
    network = _network()
    _mount()
    from kassette import core  # the largest first: a module takes half as much again while it is being imported

    gc.collect()
    from kassette import books  # noqa: F401

    gc.collect()
    from kassette import counter  # noqa: F401

    gc.collect()
    from kassette import terminal

    del kept
    gc.collect()
    terminal.main(core.Board(*network))


_main()
