"""The morning's shop: back office, terminal, eight chip cards and two with little on them, three accounts with stripes.

Its keys are kept, and public.
"""

import pathlib
import shutil
import tempfile
from collections.abc import Callable
from typing import Any, TextIO

from kassette_host import BUILD, journal
from kassette_host.backoffice.accounts import Terms
from kassette_host.backoffice.keystore import KEY_VERSION
from kassette_host.backoffice.numbers import token_key
from kassette_host.backoffice.office import BackOffice, Config
from kassette_host.cards import stripe
from kassette_host.demo.plan import ACCOUNTS, CARDS, SMALL_MINOR, SPLITS
from kassette_host.provision import TerminalShare, terminal_share
from kassette_host.sim import bench, wire
from kassette_host.sim.machine import VirtualTerminal
from kassette_host.sim.starter import prepare_process
from kassette_host.virtual.desfire import DesfireCard, activate
from kassette_host.virtual.nor import NorChip, NorPartition

TERMINAL = bench.TERMINAL
JOURNAL_ID = 1
MORNING = 1_795_420_800  # 2026-11-23 08:00 in UTC
OPENING_MINOR = 60_000
_ISSUER = 1
_EXPIRY, _ENDS = "3112", 1_956_528_000
_PASSPHRASE = "public demonstration"
_KEYS = BUILD / "demo-keys"
_DEBIT_KEY = 1


class DemoShop:
    """Everything of the morning, in a directory that lasts as long as it does; the terminal is off.

    `heads`: the tracks that its stripe reader has a head for; none: it has no such reader.
    """

    def __init__(self, seed: int, trace: TextIO | None = None, heads: tuple[int, ...] = (2,)):
        self._directory = pathlib.Path(tempfile.mkdtemp(prefix="kassette-demo-"))
        self.terminal: Any = None
        try:
            self._open(seed, trace, heads)
        except BaseException:
            shutil.rmtree(self._directory)
            raise

    def _open(self, seed: int, trace: TextIO | None, heads: tuple[int, ...]) -> None:
        if _KEYS.exists():
            shutil.copytree(_KEYS, self._directory, dirs_exist_ok=True)
        self.office = BackOffice(
            Config(
                self._directory,
                _PASSPHRASE,
                terminal_port=0,
                page_port=None,
                synchronous="OFF",
                clock=self._now,
                utc_offset_min=0,
                head_timeout_s=3600,  # of real time: connections end by the script's will only
            )
        )
        self.keys = self.office.keys
        self.store = self.office.store
        self.office.enrol_terminal(TERMINAL, JOURNAL_ID, 1, "Counter 1", "Demo")
        ports = self.office.start()
        self.terminal, draw = self._install(seed, ("127.0.0.1", ports.terminals), trace)
        if heads:
            self.terminal.fit_stripe_reader(*heads)
        self.openings = [OPENING_MINOR] * CARDS + [SMALL_MINOR] * SPLITS  # of each card
        self.cards = [DesfireCard(b"\x04" + bytes([0xA0 + n]) + draw(5), draw) for n in range(len(self.openings))]
        issue = self.office.issuer.issue_card
        self.card_ids = [issue(activate(card), card.uid, minor) for card, minor in zip(self.cards, self.openings)]
        self._open_accounts()
        self._keep_keys()

    def _open_accounts(self) -> None:
        """`stripes`: the 28 digits of each account's card; `accounts`: their ids."""
        numbers = [stripe.number(_ISSUER, n) for n in range(1, ACCOUNTS + 1)]
        self.stripes = [stripe.digits(_ISSUER, n, _EXPIRY, 1) for n in range(1, ACCOUNTS + 1)]
        self.accounts = [self.office.accounts.open(number, OPENING_MINOR, Terms(_ENDS)) for number in numbers]

    def _install(self, seed: int, office: tuple[str, int], trace: TextIO | None) -> tuple[Any, Callable[[int], bytes]]:
        """The provisioned terminal, and where the cards' random bytes come from."""
        self.share = self._share(8443)
        self.chip = NorChip(bench.chip_size(bench.JOURNAL_SIZE), seed=seed)
        bench.install(self.chip, self.share, bench.JOURNAL_SIZE, self.keys.pin_bdk)
        prepare_process()
        terminal = VirtualTerminal(self.chip, bench.JOURNAL_SIZE, seed, office, trace)
        terminal.build_time = MORNING - 86_400  # whatever commit is played, the morning is the same
        return terminal, terminal.random.randbytes

    def _keep_keys(self) -> None:
        """Making RSA keys takes longer than the morning."""
        if not _KEYS.exists():
            partial = pathlib.Path(tempfile.mkdtemp(prefix="demo-keys-", dir=BUILD))
            shutil.copy(self._directory / "keys.json", partial)
            shutil.copytree(self._directory / "pki", partial / "pki")
            try:
                partial.rename(_KEYS)
            except OSError:  # another demonstration was quicker
                shutil.rmtree(partial)

    def _now(self) -> int:
        """The back office's time is the terminal's: u32 seconds."""
        return MORNING + (self.terminal.now_ms // 1000 - 3600 if self.terminal else 0)

    def _share(self, port: int) -> TerminalShare:
        return terminal_share(
            self.office.pki,
            self.keys.journal_master,
            TERMINAL,
            1,
            journal_id=JOURNAL_ID,
            debit_keys=((KEY_VERSION, self.keys.purse_masters[_DEBIT_KEY]),),
            token_key=token_key(self.keys.token_master, TERMINAL, 1),
            drbg_seed=b"the seed of a public demonstrati",
            signer_modulus=self.keys.signer_modulus,
            port=port,
            utc_offset_min=0,
            shop_name="春和园小卖部",
            shop_name_ascii="CHUNHE STORE",
        )

    def partition(self, number: int) -> NorPartition:
        """One partition of the flash as it lies there."""
        return self.terminal.partition(number)

    def entries(self) -> list[journal.Entry]:
        """Every record in the journal, the oldest first."""
        return journal.read_flash(self.partition(wire.JOURNAL), self.share.journal_root, TERMINAL, JOURNAL_ID)

    def close(self) -> None:
        """Terminal, listeners, database and directory are gone afterwards."""
        if self.terminal:
            self.terminal.close()
        self.office.close()
        shutil.rmtree(self._directory)
