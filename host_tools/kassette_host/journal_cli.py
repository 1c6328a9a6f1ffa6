"""`kassette journal`: read a journal from a flash image, from a board on USB, or from the frames that it uploaded."""

import json
import pathlib
import sys
import time
from collections.abc import Callable

import rich_click as click
from rich.console import Console
from rich.table import Table

from kassette_host import journal_view as view
from kassette_host.journal import ChainError, Entry

_ROOT = "KASSETTE_JOURNAL_ROOT"
_TALK = Console(stderr=True)
_TERMINALS = click.IntRange(0, 0xFFFFFFFF)
_IDS = click.IntRange(1, 0xFFFF)


@click.group()
def journal() -> None:
    """Read and check a journal.

    FILE is an image of the chip or of the journal's partition, or raw frames: slots in a row, or uploads as they were
    posted. `usb:PORT` reads the partition of a board. The root key is 32 hex digits in KASSETTE_JOURNAL_ROOT or in the
    file that --root-file names.
    """


def _options(command: Callable) -> Callable:
    for option in (
        click.option(
            "--root-file", type=click.Path(exists=True, dir_okay=False), help="File with the root key, 32 hex digits."
        ),
        click.option("--terminal", type=_TERMINALS, help="Terminal, when the source does not say it."),
        click.option("--journal-id", type=_IDS, help="Journal id, when the source does not say it."),
    ):
        command = option(command)
    return command


class _Opened:
    """A source with the key that fits it."""

    def __init__(self, name: str, root_file: str | None, terminal: int | None, journal_id: int | None):
        self.root = _root(root_file)
        self.source = view.load(_read(name))
        self.terminal = self.source.terminal if terminal is None else terminal
        self.journal_id = self.source.journal_id if journal_id is None else journal_id
        if self.terminal is None or self.journal_id is None:
            raise click.UsageError("the source names no terminal and journal: --terminal and --journal-id")

    def entries(self) -> list[Entry]:
        found = []
        try:
            for entry in view.entries(self.source, self.root, self.terminal, self.journal_id):  # type: ignore[arg-type]
                found.append(entry)
        except ChainError as error:
            _TALK.print("the chain ends here: %s" % error)
        if not found:
            verdict = self.verify()
            if verdict.status == view.NOTHING:
                _TALK.print(verdict.text)
                sys.exit(verdict.status)
        return found

    def verify(self) -> view.Verdict:
        return view.verify(self.source, self.root, self.terminal, self.journal_id)  # type: ignore[arg-type]


def _root(file: str | None) -> bytes:
    import os

    try:
        text = pathlib.Path(file).read_text() if file else os.environ.get(_ROOT, "")
        root = bytes.fromhex(text.strip())
    except ValueError:  # not hex, or not even text
        root = b""
    if len(root) != 16:
        raise click.UsageError("the root key: 32 hex digits in %s or in --root-file" % _ROOT)
    return root


def _read(name: str) -> bytes:
    try:
        if name.startswith("usb:"):
            from kassette_host.journal_usb import read_partition

            return read_partition(name[4:])
        return pathlib.Path(name).read_bytes()
    except OSError as error:
        raise click.UsageError(str(error))


@journal.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@_options
def dump(file: str, as_json: bool, root_file: str | None, terminal: int | None, journal_id: int | None) -> None:
    """Every record, the oldest first. Exit status 6: no journal under this key, or a newer format; so diff and replay."""
    opened = _Opened(file, root_file, terminal, journal_id)
    shown = [view.describe(entry) for entry in opened.entries()]
    if as_json:
        for record in shown:
            click.echo(json.dumps(record))
        return
    table = Table("serial", "UTC", "record", "slip", "amount", "what else", title="terminal %s" % opened.terminal)
    for record in shown:
        rest = {name: value for name, value in record.items() if name not in _COLUMNS and value not in ("", 0)}
        table.add_row(
            str(record["serial"]),
            view.clock(record["time"]) + ("" if record["clock_trusted"] else " ?"),
            record["kind"],
            str(record.get("slip", "")),
            view.money(record["amount"]) if "amount" in record else "",
            " ".join("%s=%s" % pair for pair in rest.items()),
        )
    Console().print(table)


_COLUMNS = ("serial", "time", "clock_trusted", "kind", "slip", "amount", "batch", "newest", "evidence")


@journal.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_options
def verify(file: str, as_json: bool, root_file: str | None, terminal: int | None, journal_id: int | None) -> None:
    """Check the chain and say what is wrong by the exit status.

    0 whole; 1 whole, with torn or burned slots; 3 a gap; 4 a forged, damaged or forked record; 5 a sector changed after it
    was sealed; 6 no journal under this key, or a newer format; 8 keys that should be gone.
    """
    verdict = _Opened(file, root_file, terminal, journal_id).verify()
    if as_json:
        click.echo(json.dumps(verdict.__dict__))
    else:
        click.echo("records %d to %d: %s" % (verdict.first, verdict.last, verdict.text))
    sys.exit(verdict.status)


@journal.command()
@click.argument("file")
@click.argument("other")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_options
def diff(
    file: str, other: str, as_json: bool, root_file: str | None, terminal: int | None, journal_id: int | None
) -> None:
    """Compare two images: 0 the same records, 1 one goes on where the other ends, 4 two histories."""
    one, two = [
        {entry.serial: entry.tag for entry in _Opened(name, root_file, terminal, journal_id).entries()}
        for name in (file, other)
    ]
    forks = sorted(serial for serial in one.keys() & two.keys() if one[serial] != two[serial])
    only = [sorted(one.keys() - two.keys()), sorted(two.keys() - one.keys())]
    status = 4 if forks else 1 if only[0] or only[1] else 0
    if as_json:
        click.echo(json.dumps({"status": status, "different": forks, "only_first": only[0], "only_second": only[1]}))
    else:
        click.echo("%d records are in both and the same" % (len(one.keys() & two.keys()) - len(forks)))
        for text, serials in (("different", forks), ("only in %s" % file, only[0]), ("only in %s" % other, only[1])):
            if serials:
                click.echo("%s: %d, serial %d to %d" % (text, len(serials), serials[0], serials[-1]))
    sys.exit(status)


@journal.command()
@click.argument("file")
@click.argument("slip", type=int)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a step.")
@_options
def replay(
    file: str, slip: int, as_json: bool, root_file: str | None, terminal: int | None, journal_id: int | None
) -> None:
    """Execute one slip again from what its records say, step by step; 7 if a step does not hold."""
    steps = list(view.replay(_Opened(file, root_file, terminal, journal_id).entries(), slip))
    if not steps:
        raise click.UsageError("slip %d is not in this journal" % slip)
    for step in steps:
        if as_json:
            click.echo(json.dumps(step.__dict__))
        else:
            mark = {True: "holds", False: "DOES NOT HOLD", None: ""}[step.holds]
            click.echo(("%6d  %s  %s" % (step.serial, step.text, mark)).rstrip())
    sys.exit(7 if any(step.holds is False for step in steps) else 0)


@journal.command("format")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.argument("new_id", type=_IDS)
@click.option(
    "--next-slip",
    type=click.IntRange(1, 0xFFFFFFFF),
    default=1,
    help="When the old journal does not mount: the slip number to go on with.",
)
@click.option("--operator", type=click.IntRange(0, 0xFFFF), default=0, help="Who does it; the back office is told.")
@_options
def new_journal(
    file: str,
    new_id: int,
    next_slip: int,
    operator: int,
    root_file: str | None,
    terminal: int | None,
    journal_id: int | None,
) -> None:
    """Put a new journal NEW_ID into FILE, an image of the partition; the root key is that of the new journal.

    A technician's command. What the back office never acknowledged is given up by typing how many records that is, or
    `all` for a journal that does not mount, and the new journal's first record reports it. Exit status 9: not typed,
    nothing is changed. The terminal then needs settings with the new id, the back office the new journal.
    """
    from kassette_host.journal_format import OldJournal, why_not

    root = _root(root_file)
    image = _read(file)
    source = view.load(image)
    reason = why_not(image, source, terminal)
    if reason:
        raise click.UsageError(reason)
    terminal = source.terminal if terminal is None else terminal
    journal_id = source.journal_id if journal_id is None else journal_id
    assert terminal is not None
    if new_id == journal_id:
        raise click.UsageError("a new journal needs a new id: under the old one its keys would come again")
    old = OldJournal(image, terminal, journal_id or 0)
    typed = ""
    if old.demanded:
        told = (
            "does not mount (%d)" % old.code if old.code else "has %s records without an acknowledgement" % old.unsent
        )
        typed = click.prompt("journal %s %s: to give them up type %s" % (journal_id, told, old.demanded), default="")
    if typed != old.demanded:
        click.echo("nothing was changed")
        sys.exit(9)
    changed = old.replaced(root, new_id, (int(time.time()), operator), typed, next_slip)
    partial = pathlib.Path(file + ".new")
    partial.write_bytes(changed)
    partial.replace(file)
    click.echo("journal %d of terminal %d begins" % (new_id, terminal))
