"""What a firmware's process starts from, before its bundle is mounted: a few files in the build folder."""

import os

from kassette_host import BUILD, ROOT, bundle

FOLDER = BUILD / "sim"


def prepare_process() -> None:
    """Put the board's own files there."""
    for name, source in (
        ("shared/bundle_vfs", ROOT / "boards/shared/bundle_vfs.py"),
        ("sim/hostlink", ROOT / "boards/sim/hostlink.py"),
    ):
        put_in_build(name + ".mpy", bundle.compile_one("/" + name, source))
    put_in_build("main.py", (ROOT / "boards/sim/main.py").read_bytes())


def put_in_build(name: str, content: bytes) -> None:
    """Write a file of the process at once: another terminal may be starting from it."""
    target = FOLDER / name
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".%d" % os.getpid())
    partial.write_bytes(content)
    partial.replace(target)
