"""The stores are opened once, at boot: the application drops this module and what only it needs."""

from kassette.codec.drbg import Drbg
from kassette.compat import wipe
from kassette.errors import Fault
from kassette.log import log
from kassette.store.boots import count_boot
from kassette.store.journal import Journal
from kassette.store.settings import Settings
from kassette.store.till import Till
from kassette.wallclock import WallClock


def open_stores(t):
    """Settings, random numbers, journal, clock, in that order. Raises Fault: there can be no sale without any of them."""
    board = t.board
    t.settings = settings = Settings(board.settings_flash)
    settings.load()
    _prepare_net(t)
    _open_random(t)
    t.till = Till(settings.utc_offset_min)
    t.journal = Journal(board.journal_flash, settings.terminal, settings.journal_id, t.till)
    t.journal.mount()
    t.wall = WallClock(t.clock, max(board.build_time, t.till.newest_time))
    log("journal", t.journal.next_serial, t.journal.torn, t.journal.fill_percent())


def _prepare_net(t):
    try:
        t.board.net.prepare(t.settings)
    except Fault as fault:
        log("net", fault.code, fault.at)  # no reason not to sell; the uplink says it again


def _open_random(t):
    """The secret seed, what makes this boot different from every other, and the board's noise."""
    seed = t.settings.drbg_seed
    t.random = Drbg(seed)
    wipe(seed)
    t.random.mix(count_boot(t.board.settings_flash).to_bytes(4, "little"))
    noise = bytearray(32)
    t.board.random.fill(noise)
    t.random.mix(noise)
