"""The command line: thin verbs over the library; everything heavy is imported by the verb that needs it."""

import re
import signal
import sys
from typing import TextIO

import rich_click as click

from kassette_host.image.commands import image
from kassette_host.journal_cli import journal
from kassette_host.rig.commands import rig


def _heap_size(context: click.Context, option: click.Parameter, value: str) -> str:
    if not re.fullmatch("[1-9][0-9]{0,5}[kM]", value):
        raise click.BadParameter("%r is not like 128k" % value)
    return value


_PORT = click.IntRange(0, 65_535)
_TRACE = click.File("w", lazy=False)  # one that can't be written is told before anything starts


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option("0.1.0", prog_name="kassette")
def cli() -> None:
    """Kassette: a stored-value card terminal, its virtual hardware and its back office."""


@cli.command()
@click.option(
    "--reader",
    metavar="PORT",
    help="A real PN532 on this serial port in the virtual reader's place. Untried: only a virtual one on a PTY was there.",
)
@click.option(
    "--port", type=_PORT, default=8080, show_default=True, help="HTTP port of the pages; the next free one if taken."
)
@click.option(
    "--state",
    type=click.Choice(["kept", "fresh", "keyed", "journal-full", "paper-out", "offline", "clock-lost"]),
    default="kept",
    show_default=True,
    help="Where the shop starts; all but `kept` start a new one.",
)
@click.option("--trace", type=_TRACE, help="Write every frame on every link with its virtual time.")
@click.option(
    "--stripe/--no-stripe", default=True, show_default=True, help="With a stripe reader, and the heap that it needs."
)
def run(reader: str | None, port: int, state: str, trace: TextIO | None, stripe: bool) -> None:
    """Start the shop: back office, virtual hardware and the real firmware; print the counter page's address."""
    from kassette_host.shop import run_shop

    sys.exit(run_shop(reader, port, state, trace, stripe))


@cli.command()
def reset() -> None:
    """Forget the shop's state: cards, journal, books."""
    from kassette_host.shop import forget

    forget()


@cli.command()
@click.option("--seed", default=1, show_default=True, help="Another morning.")
@click.option("--trace", type=_TRACE, help="Write every frame on every link with its virtual time.")
@click.option("--slips", type=click.Path(file_okay=False), help="Folder for the slips' pictures.")
@click.option("--quiet", "-q", is_flag=True, help="No table, no progress: the verdict alone.")
def demo(seed: int, trace: TextIO | None, slips: str | None, quiet: bool) -> None:
    """A scripted morning with power cuts, outages and torn taps; 0 only if journal, cards and books agree."""
    from kassette_host.demo import run_demo

    sys.exit(run_demo(seed, trace, slips, quiet))


@cli.command()
@click.option("--check", is_flag=True, help="Exit with 1 when something is over its budget.")
@click.option("--accept", is_flag=True, help="Write the present sizes, plus 5 %, as the new budget.")
def size(check: bool, accept: bool) -> None:
    """The `.mpy` bytes and the import heap of each module, against firmware/size_budget.json."""
    from kassette_host import size as size_tool

    if accept:
        size_tool.accept()
    sys.exit(size_tool.report(check))


@cli.command()
@click.option(
    "--size", "size_", callback=_heap_size, default="128k", show_default=True, help="The interpreter's heap, in k or M."
)
def heap(size_: str) -> None:
    """What lives in the firmware's heap, and its largest free piece: after the boot, in sales, with TLS open."""
    from kassette_host import heap as heap_tool

    sys.exit(heap_tool.report(size_))


@cli.command()
@click.argument("places", nargs=-1)
@click.option("--board", default="sim", show_default=True, help="Whose bundle, as it was built last.")
def where(places: tuple[str, ...], board: str) -> None:
    """Translate kassette.core:1234 of a traceback to the source; without an argument, the traceback on stdin."""
    from kassette_host import bundle
    from kassette_host.link.where import explain

    text = "\n".join(places) if places else sys.stdin.read().rstrip("\n")
    print(explain(text, board, bundle.sources(board)))


@cli.command()
@click.option("--directory", default=".state/backoffice", show_default=True, help="Keys, certificates and books.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of both listeners.")
@click.option("--terminal-port", type=_PORT, default=8443, show_default=True, help="TLS port for terminals.")
@click.option(
    "--page-port",
    type=_PORT,
    default=8080,
    show_default=True,
    help="HTTP port of the pages; the next free one if taken.",
)
def backoffice(directory: str, host: str, terminal_port: int, page_port: int) -> None:
    """The back office by itself; the passphrase of its key store comes from KASSETTE_PASSPHRASE or the keyboard."""
    from kassette_host.backoffice.command import run_backoffice

    sys.exit(run_backoffice(directory, host, terminal_port, page_port))


@cli.command()
def bench() -> None:
    """What a boot, a sale and an idle minute cost, as counts."""
    from kassette_host import counts

    counts.report()


cli.add_command(journal)
cli.add_command(image)
cli.add_command(rig)


def main() -> None:
    """Run the command line; Ctrl-C is exit status 130, SIGTERM 143, without a traceback and with everything put away."""

    def end(number: int, frame: object) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    cli()
