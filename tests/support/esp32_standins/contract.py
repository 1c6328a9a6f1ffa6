"""The bodies of `hal` on the bench board: contract.py ADDRESS FOLDER, of the server and of the identity for it."""

import sys

import vfs
from esp32_bench.raw import counts, open_partition  # noqa: F401  as main.py has it, for the board
from hal_bodies import Identity, run
from shared import bundle_vfs

vfs.mount(bundle_vfs.BundleVfs(open_partition("bundle_a")[1]), "/bundle")
from esp32_bench.board import Board  # noqa: E402

run(Board("net", "key", sys.argv[1], "2"), Identity(sys.argv[2]))
