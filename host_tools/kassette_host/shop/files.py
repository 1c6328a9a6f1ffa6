"""Files that are there whole or not at all."""

import os
import pathlib


def write_whole(path: pathlib.Path, data: bytes) -> None:
    """Replace the content of `path` in one step; a program that is killed leaves the old or the new one."""
    part = path.with_name(path.name + ".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    part.replace(path)
