"""The shop on disk: one directory with everything that a shop remembers, made at the first start.

lock          who runs this shop
shop.json     what the terminal was provisioned as; written last, so a half-made shop is made again
flash.img     the terminal's flash chip, and its wear
cards/        the cards' memories
stripes.json  the stripe cards
slips/        what was printed
office/       the back office: keys, certificates, books
"""

import errno
import fcntl
import json
import os
import pathlib
import shutil
from dataclasses import dataclass
from typing import Any, TextIO

from kassette_host import journal
from kassette_host.backoffice.keystore import KeyStoreError
from kassette_host.backoffice.numbers import token_key
from kassette_host.backoffice.store import StoreError
from kassette_host.provision import install, install_pin_keys, journal_root, terminal_share
from kassette_host.shop.files import write_whole
from kassette_host.shop.journal_view import JournalView
from kassette_host.shop.office import Office
from kassette_host.shop.rack import Rack, RackCard
from kassette_host.shop.slips import SlipTray
from kassette_host.shop.stripes import Stripes
from kassette_host.shop.terminal import CounterTerminal, RealReader
from kassette_host.sim import wire
from kassette_host.sim.bench import chip_size, load_program
from kassette_host.sim.starter import prepare_process
from kassette_host.virtual.desfire import DesfireCard
from kassette_host.virtual.nor import SECTOR, NorChip

TERMINAL = 0x4B530001
SHOP_NAME, SHOP_NAME_ASCII = "街角小店", "Corner Shop"
JOURNAL_SECTORS = 64
SMALL_JOURNAL_SECTORS = 12  # a journal that fills up while one looks on
OPENING_BALANCES = (5000, 12000, 350, 8800, 2000, 30000, 6450, 1000)  # of the first cards, in minor units
_PROVISIONED_AS = 1
_JOURNAL_ID = 1
_ISSUER = 1
_HEADS = (2, 1)  # the tracks of the stripe reader
_FORMAT = 2
_LASTING = ("flash.img", "stripes.json", "office/keys.json", "office/books.sqlite")  # never missing from a whole shop
_DAMAGE = (KeyStoreError, StoreError, OSError, LookupError, TypeError, ValueError)  # by what a file of the shop holds
TERMINAL_PORT = 8443  # also in the terminal's settings; the simulated network leads to wherever the back office listens


class ShopError(Exception):
    """The shop can't be opened; the text says why and what to do."""


def _damaged(directory: pathlib.Path, why: object) -> ShopError:
    return ShopError("%s can't be opened (%s): `make reset` starts afresh" % (directory, why))


class Lock:
    """One shop process for each directory. Raises ShopError, with the number of the process that has it if one does."""

    def __init__(self, directory: pathlib.Path):
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = open(directory / "lock", "a+")  # closed by `release`
        except OSError as error:
            raise ShopError("no shop can be in %s: %s" % (directory, error.strerror))
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "another"
            self._file.close()
            raise ShopError("this shop is open already (process %s): close it first, or go to its page" % holder)
        self._file.truncate(0)
        self._file.write("%d\n" % os.getpid())
        self._file.flush()

    def release(self) -> None:
        self._file.truncate(0)
        self._file.close()


@dataclass(frozen=True)
class Plan:
    """How a shop begins. `journal_sectors` and `is_keyed` count for a new one only. `has_stripe`: a reader is fitted."""

    reader: str | None = None
    terminal_port: int = TERMINAL_PORT
    trace: TextIO | None = None
    is_keyed: bool = True
    journal_sectors: int = JOURNAL_SECTORS
    seed: int | None = None
    has_stripe: bool = True


class Site:
    """An open shop; the back office does not listen yet, the terminal is off. Raises ShopError."""

    name = SHOP_NAME_ASCII
    number = TERMINAL

    def __init__(self, directory: pathlib.Path, plan: Plan):
        self.directory = directory
        told = _read_told(directory)
        if told is None:
            clear(directory)
        self._told = told or {"format": _FORMAT, "journal_sectors": plan.journal_sectors, "is_keyed": False}
        try:
            self.office = Office(directory / "office", TERMINAL, _JOURNAL_ID, plan.terminal_port)
            self._flash = self._open_flash()
            self.slips = SlipTray(directory / "slips")
            self.rack = Rack(directory / "cards")
            self.stripes = Stripes(directory / "stripes.json")
        except _DAMAGE as error:
            raise _damaged(directory, error)
        self.real_reader = plan.reader
        self.terminal = self._build_terminal(plan)
        root = journal_root(self.office.keys.journal_master, TERMINAL, _PROVISIONED_AS)
        self.journal = JournalView(self.terminal.partition(wire.JOURNAL), root, TERMINAL, _JOURNAL_ID)
        if told is None:
            self._furnish(plan)
        prepare_process()
        load_program(self._flash, self._told["journal_sectors"] * SECTOR)

    def _open_flash(self) -> NorChip:
        size = chip_size(self._told["journal_sectors"] * SECTOR)
        return NorChip(size, self.directory / "flash.img", int.from_bytes(os.urandom(4), "little"))

    def _build_terminal(self, plan: Plan) -> CounterTerminal:
        try:
            real = RealReader(plan.reader) if plan.reader else None
        except OSError as error:
            raise ShopError("no reader on %s: %s" % (plan.reader, error))
        seed = plan.seed if plan.seed is not None else int.from_bytes(os.urandom(8), "little")
        sectors = self._told["journal_sectors"]
        terminal = CounterTerminal(self._flash, sectors * SECTOR, seed, None, plan.trace, real_reader=real)
        if plan.has_stripe:
            terminal.fit_stripe_reader(*_HEADS)
        return terminal

    # --- the first start

    def _furnish(self, plan: Plan) -> None:
        self.office.enrol(TERMINAL, _JOURNAL_ID, _PROVISIONED_AS, "Counter 1", SHOP_NAME_ASCII)
        for minor in OPENING_BALANCES:
            self.issue(minor)
        self.stripes.issue(_ISSUER, self.office.open_account)
        if plan.is_keyed:
            self.provision()
        else:
            self._remember()

    def _remember(self) -> None:
        write_whole(self.directory / "shop.json", json.dumps(self._told).encode())

    @property
    def is_provisioned(self) -> bool:
        """Whether the terminal has its keys."""
        return self._told["is_keyed"]

    def provision(self) -> None:
        """The terminal's share of the keys into its flash, and an empty journal. It must be off."""
        keys = self.office.keys
        share = terminal_share(
            self.office.pki,
            keys.journal_master,
            TERMINAL,
            _PROVISIONED_AS,
            journal_id=_JOURNAL_ID,
            debit_keys=self.office.debit_keys,
            token_key=token_key(keys.token_master, TERMINAL, _PROVISIONED_AS),
            drbg_seed=os.urandom(32),
            signer_modulus=keys.signer_modulus,
            port=TERMINAL_PORT,
            shop_name=SHOP_NAME,
            shop_name_ascii=SHOP_NAME_ASCII,
        )
        install(self.terminal.partition(wire.SETTINGS), share)
        install_pin_keys(self.terminal.partition(wire.RATCHET), keys.pin_bdk, TERMINAL, _PROVISIONED_AS)
        journal.format(self.terminal.partition(wire.JOURNAL), share.journal_root, TERMINAL, _JOURNAL_ID)
        self._told["is_keyed"] = True
        self._remember()

    # --- cards

    def issue(self, opening_minor: int) -> RackCard:
        """A new card with money on it, through the back office."""
        card = DesfireCard(bytes([4]) + os.urandom(6))
        card_id, last4 = self.office.issue(card, opening_minor)
        return self.rack.add(card_id, last4, card)

    def top_up(self, one: RackCard, amount_minor: int) -> None:
        """More money on a card that is in nobody's field. Raises Refusal."""
        self.office.top_up(one.card, one.id, amount_minor, lambda: self.rack.save(one))

    # --- from day to day

    def open_network(self) -> None:
        """The back office listens from now on, and the terminal's network leads there. Raises ShopError."""
        try:
            self.terminal.relay.target = self.office.start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ShopError("no port for the terminals: %s" % error.strerror)
            raise _damaged(self.directory, error)  # no certificates

    def close(self) -> None:
        """The terminal must have been closed."""
        self.office.close()
        self._flash.close()


def _read_told(directory: pathlib.Path) -> dict[str, Any] | None:
    """What `shop.json` says; None when there is none, so no whole shop. Raises ShopError."""
    try:
        told = json.loads((directory / "shop.json").read_text())
        if told["format"] != _FORMAT:
            raise ShopError("%s was made by another version: `make reset` starts afresh" % directory)
        told = {name: told[name] for name in ("format", "journal_sectors", "is_keyed")}
    except FileNotFoundError:
        return None
    except _DAMAGE as error:
        raise _damaged(directory, "shop.json: %r" % error)
    for name in _LASTING:
        if not (directory / name).exists():
            raise _damaged(directory, name + " is gone")
    return told


def clear(directory: pathlib.Path) -> None:
    """Forget a shop: everything in `directory` but the lock, which is held."""
    for path in directory.iterdir():
        if path.name == "lock":
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
