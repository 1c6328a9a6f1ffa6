"""Start the bench board's own main.py on the unix interpreter: start.py BOOT_FOLDER, which is the chip's file system.

The root stays mounted, because the stand-ins read their files there; and they are in memory before main.py leaves
nothing on the path but the bundle.
"""

import os
import sys

import esp32  # noqa: F401
import machine  # noqa: F401
import network  # noqa: F401
import vfs


class _Vfs:
    mount = staticmethod(vfs.mount)

    @staticmethod
    def umount(place):
        assert place == "/"


sys.modules["vfs"] = _Vfs
os.chdir(sys.argv[1])
with open("main.py") as _file:
    exec(_file.read())
