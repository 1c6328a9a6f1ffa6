"""`kassette image`: write a terminal's flash image, and look into one."""

import json
import pathlib
import sys
from typing import NoReturn

import rich_click as click
from rich.console import Console
from rich.table import Table

from kassette_host.image import STATUSES, ImageError

_TALK = Console(stderr=True, highlight=False)


@click.group()
def image() -> None:
    """Flash images for the ESP32.

    Exit status: 6 what was given is not used (another chip, another version, too small a flash, a journal in the way),
    7 it is damaged or no image at all.
    """


def _fail(error: ImageError, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps({"error": {"code": error.code, "text": str(error)}}))
    else:
        _TALK.print("%s: %s" % (error.code, error))
    sys.exit(STATUSES[error.code])


@image.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=pathlib.Path))
@click.option(
    "--stock",
    "stock_file",
    envvar="KASSETTE_ESP32_IMAGE",
    show_envvar=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    help="MicroPython's own image for the ESP32 (ESP32_GENERIC).",
)
@click.option(
    "--keep",
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    help="What lies in the chip now (esptool read-flash 0 ALL): settings and journal stay.",
)
@click.option("--ssid", default="", help="The radio network; its key is in KASSETTE_WIFI_KEY.")
@click.option("--server", default="127.0.0.1", show_default=True, help="The back office's address, in numbers.")
@click.option("--port", default=8443, show_default=True, help="Its port for terminals.")
@click.option("--stripe-heads", default=0, show_default=True, type=click.IntRange(0, 2), help="Track 2; and track 1.")
@click.option("--journal-kib", default=1024, show_default=True, type=click.IntRange(64, 1024), help="Room for records.")
@click.option("--whole", is_flag=True, help="From address 0, for an emulator, not from 1000h as stock images are.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def build(
    out: pathlib.Path,
    stock_file: pathlib.Path,
    keep: pathlib.Path | None,
    ssid: str,
    server: str,
    port: int,
    stripe_heads: int,
    journal_kib: int,
    whole: bool,
    as_json: bool,
) -> None:
    """Write the flash image OUT: the stock firmware, the terminal's program and a test identity under public keys.

    To put it onto a board: `esptool write-flash 0x1000 OUT`.
    """
    import os

    from kassette_host import bundle
    from kassette_host.image import build as builder
    from kassette_host.image import stock
    from kassette_host.sim.bench import share

    try:
        flash = builder.build(
            stock.check(stock_file.read_bytes()),
            share(port),
            bundle.build(builder.BOARD),
            builder.files(
                builder.Network(ssid, os.environ.get("KASSETTE_WIFI_KEY", ""), server, str(stripe_heads or ""))
            ),
            journal_kib * 1024,
            keep.read_bytes() if keep else None,
        )
    except ImageError as error:
        _fail(error, as_json)
    written = flash if whole else flash[stock.BOOT_AT :]
    out.write_bytes(written)
    if as_json:
        click.echo(json.dumps({"file": str(out), "bytes": len(written), "at": 0 if whole else stock.BOOT_AT}))
    _TALK.print("%s: a test identity whose keys are public; nothing it holds is worth stealing" % out)


@image.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def inspect(file: pathlib.Path, as_json: bool) -> None:
    """Partitions and contents of FILE: an image, or the flash of a chip."""
    from kassette_host.image.inspect import inspect as look

    try:
        found = look(file.read_bytes())
    except ImageError as error:
        _fail(error, as_json)
    if as_json:
        click.echo(json.dumps(found))
        return
    table = Table("partition", "from", "to", "holds", title="%d kB of flash" % (found["flash"] // 1024))
    for p in found["partitions"]:
        table.add_row(p["label"], "%06X" % p["offset"], "%06X" % (p["offset"] + p["size"]), p["holds"])
    Console().print(table)
    for path, length in found.get("files", {}).items():
        click.echo("%8d  %s" % (length, path))
