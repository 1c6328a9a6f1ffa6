"""`kassette rig`: what a chip does, measured."""

import pathlib
import sys

import rich_click as click

from kassette_host import BUILD


@click.group()
def rig() -> None:
    """The terminal on an emulated chip; KASSETTE_QEMU and KASSETTE_ESP32_IMAGE say what it is made of."""


@rig.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=pathlib.Path), default=BUILD / "rig", show_default=True
)
def measure(out: pathlib.Path) -> None:
    """Boot, sell and connect on the emulated chip; print the figures, put them and a chart into a folder.

    Exit status 3: there is no emulator here.
    """
    from kassette_host.rig import measure as tool
    from kassette_host.rig import qemu

    missing = qemu.missing()
    if missing:
        click.echo(missing, err=True)
        sys.exit(3)
    tool.report(tool.measure(lambda text: click.echo(text, err=True)), out)
