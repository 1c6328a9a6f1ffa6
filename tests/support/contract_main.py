"""What the chip's main.py is made of when it runs the bodies of `hal` (terminal/test_contract.py)."""

import sys

from esp32_bench.raw import open_partition
from shared.bundle_vfs import BundleVfs


def _main():
    import vfs

    with open("/network.txt") as file:
        network = file.read().split("\n")[:4]
    vfs.mount(BundleVfs(open_partition("bundle_a")[1]), "/bundle")
    sys.path[:] = ["/bundle", ".frozen"]
    from esp32_bench.board import Board
    from shared.hal_bodies import Identity, run

    run(Board(*network), Identity("/identity"))


_main()
