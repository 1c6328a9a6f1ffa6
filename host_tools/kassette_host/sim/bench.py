"""A provisioned terminal and its cards in RAM, without a back office: what tests and benchmarks start from.

The keys are public (`virtual.pn532_pty.PUBLIC_MASTERS`): nothing here is worth stealing.
"""

import functools
from typing import TextIO

from kassette_host import BUILD, bundle, journal, provision
from kassette_host.pki import Pki
from kassette_host.sim import wire
from kassette_host.sim.cashier import Cashier
from kassette_host.sim.flash import offsets
from kassette_host.sim.machine import VirtualTerminal
from kassette_host.sim.starter import prepare_process
from kassette_host.virtual.desfire import DesfireCard
from kassette_host.virtual.nor import SECTOR, NorChip, NorPartition
from kassette_host.virtual.pn532_pty import PUBLIC_MASTERS, demo_card

TERMINAL = 0x4B530001
JOURNAL_ID = 1
JOURNAL_SIZE = 64 * SECTOR
PIN_BDK = b"public PIN basis"
TOKEN_KEY = b"public token key"


def install(chip: NorChip, share: provision.TerminalShare, journal_size: int, pin_bdk: bytes = PIN_BDK) -> None:
    """Put program, settings, PIN keys and an empty journal onto an erased chip, as provisioning over a cable does."""
    places = offsets(journal_size)

    def partition(number: int):
        return chip.partition(*places[number])

    provision.install(partition(wire.SETTINGS), share)
    provision.install_pin_keys(partition(wire.RATCHET), pin_bdk, share.terminal, share.provisioning)
    journal.format(partition(wire.JOURNAL), share.journal_root, share.terminal, share.journal_id)
    load_program(chip, journal_size)


def load_program(chip: NorChip, journal_size: int) -> None:
    """Write the present bundle into slot A; what is there already is left alone."""
    place = chip.partition(*offsets(journal_size)[wire.BUNDLE_A])
    image = bundle.build("sim")
    found = bytearray(len(image))
    place.read(0, found)
    if found == image:
        return
    for sector in range(place.size // SECTOR):
        place.erase(sector)
    place.program(0, image)


def chip_size(journal_size: int) -> int:
    """Bytes of a chip with a journal of that size."""
    return sum(size for _, size in offsets(journal_size).values())


@functools.cache
def share(port: int = 8443) -> provision.TerminalShare:
    """The public test identity."""
    return provision.terminal_share(
        Pki(BUILD / "pki"),
        b"public journal k",
        TERMINAL,
        1,
        journal_id=JOURNAL_ID,
        debit_keys=((1, PUBLIC_MASTERS[1]),),
        token_key=TOKEN_KEY,
        drbg_seed=b"public seed of the bench's draws",
        signer_modulus=bytes(255) + b"\1",
        port=port,
        shop_name="春和园小卖部",
        shop_name_ascii="CHUNHE STORE",
    )


@functools.cache
def _keyed_image(journal_size: int) -> bytes:
    chip = NorChip(chip_size(journal_size))
    install(chip, share(), journal_size)
    prepare_process()
    return chip.image()


class Bench:
    """One terminal with `cards` in the cashier's hand; power is on and the idle screen shown after `start`."""

    def __init__(
        self,
        seed: int = 0,
        cards: int = 2,
        journal_size: int = JOURNAL_SIZE,
        trace_file: TextIO | None = None,
        is_keyed: bool = True,
    ):
        size = chip_size(journal_size)
        image = _keyed_image(journal_size)
        self.chip = NorChip(size, seed=seed)
        if is_keyed:
            self.chip.memory[:] = image
        else:
            load_program(self.chip, journal_size)
        self.terminal = VirtualTerminal(self.chip, journal_size, seed, None, trace_file)
        self.terminal.relay.is_up = False
        self.cashier = Cashier(self.terminal)
        self.cards = [demo_card(bytes.fromhex("04%012x" % (0x112233440000 + n))) for n in range(cards)]

    def start(self) -> "Bench":
        """Power on and wait for the idle screen."""
        self.terminal.power_on()
        self.cashier.wait_idle()
        return self

    def __enter__(self) -> "Bench":
        return self.start()

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.terminal.close()

    def partition(self, number: int) -> NorPartition:
        """One partition of the flash, as the firmware sees it."""
        return self.terminal.partition(number)

    def flip(self, number: int, at: int) -> None:
        """One bit of a partition turns."""
        self.chip.memory[self.partition(number).offset + at] ^= 1

    def entries(self) -> list[journal.Entry]:
        """Every record in the journal, the oldest first."""
        return journal.read_flash(self.partition(wire.JOURNAL), share().journal_root, TERMINAL, JOURNAL_ID)


def card_balance(card: DesfireCard) -> int:
    """What the card itself holds in its value file, in minor units: read with the public keys, by a reader of ours."""
    from kassette_host.cards.personalise import read_card
    from kassette_host.virtual.desfire import activate

    return read_card(activate(card), card.uid, PUBLIC_MASTERS).balance
