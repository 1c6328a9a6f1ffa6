"""The stores are opened once, at boot: the application drops this module and what only it needs."""

from kassette.codec import records
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
    boot = _open_random(t)
    t.till = Till(settings.utc_offset_min)
    t.journal = Journal(board.journal_flash, settings.terminal, settings.journal_id, t.till)
    t.journal.mount()
    t.wall = WallClock(t.clock, max(board.build_time, t.till.newest_time))
    log("journal", t.journal.next_serial, t.journal.torn, t.journal.fill_percent())
    if t.journal.torn_tail:
        _report_torn(t, boot)


def _prepare_net(t):
    try:
        t.board.net.prepare(t.settings)
    except Fault as fault:
        log("net", fault.code, fault.at)  # no reason not to sell; the uplink says it again


def _open_random(t):
    """The secret seed, what makes this boot different from every other, and the board's noise; the number of the boot."""
    seed = t.settings.drbg_seed
    t.random = Drbg(seed)
    wipe(seed)
    boot = count_boot(t.board.settings_flash)
    t.random.mix(boot.to_bytes(4, "little"))
    noise = bytearray(32)
    t.board.random.fill(noise)
    t.random.mix(noise)
    return boot


def _report_torn(t, boot):
    """The power went while a record was being written: the back office hears of it, however the sale goes on."""
    open_serial = t.till.open[0] if t.till.open else 0
    records.pack(
        records.BOOT, t.payload, t.wall.now(), min(t.journal.torn_tail, 255), open_serial, boot, t.board.build_time
    )
    try:
        t.journal.append(records.BOOT | records.CLOCK_UNTRUSTED, t.payload)
    except Fault as fault:
        log("boot", fault.code, fault.at)  # full, perhaps: it is said again at the next start
