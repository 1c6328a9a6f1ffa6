"""The terminal: built from a board, boots, runs one flow at a time; nothing dies unseen.

The order of the boot: screen and keys, settings, random numbers, journal, clock, reader, printer, then the truth about
what a power cut interrupted, then the idle screen.
"""

import asyncio
import gc
import sys

from micropython import const

from kassette.cards.purse import Purse
from kassette.drivers.keypad import Keypad
from kassette.drivers.pn532 import PN532
from kassette.drivers.printer import Printer
from kassette.drivers.ssd1306 import Display
from kassette.errors import Cancelled, Fault, FlowEnd
from kassette.flows.paper import CLOSING, COPY, Paper
from kassette.log import log, open_log
from kassette.ui.panel import BAD, Ui
from kassette.ui.texts import Texts
from kassette.wallclock import civil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kassette.hal import Board
    from kassette.store.settings import Settings

_STARTING = const(26)
_E_FULL = const(401)
_E_DAMAGED = const(404)
_E_HALF = const(410)
_E_NEARLY_FULL = const(411)
_E_NET_DOWN = const(501)
_E_CLOCK = const(705)
_E_CANCELLED = const(802)
_E_BUG = const(999)

_READ_MS = const(4000)
_TURN_MS = const(1000)  # idle: the screen is looked over so often, and nothing wakes more often
_NOTE_TURNS = const(3)  # each thing that needs attention is shown for so long
_QUIET_TURNS = const(2)  # idle for so many turns before anything slow begins
_TEND_TURNS = const(16)  # what the journal needs now and then
_CHECK_TURNS = const(600)  # the reader's self-test


class Terminal:
    """What the flows work with: ui, clock, wall, settings, journal, till, reader, purse, printer, slip, paper, uplink."""

    settings: "Settings"

    def __init__(self, board: "Board"):
        clock = board.clock
        self.board = board
        self.clock = clock
        self.keypad = Keypad(board.keys, clock)
        self.texts = Texts(board.open_data)
        self.ui = Ui(Display(board.display), self.keypad, board.tone, board.led, self.texts, clock)
        self.payload = bytearray(96)
        self.slip = self._render
        self.uplink = None
        self.reader_trouble = 0  # codes of what is wrong at present, 0: nothing
        self.mode_note = 0
        self.kept = None  # kassette.parts.Kept, where there is a stripe reader
        self.tasks = []

    def _render(self, marks, serial):
        """The bytes of a slip for kassette.flows.paper; what makes them is in memory for as long only."""
        try:
            from kassette.flows import slips
            from kassette.ui.slip import Slip

            return slips.make(self, Slip(self.texts, self.settings), marks, serial)
        finally:
            drop("kassette.flows.slips", "kassette.ui.slip", "kassette.codec.escpos")


def main(board: "Board") -> None:
    """Run for ever."""
    open_log(board.say)
    asyncio.run(_live(Terminal(board)))


async def _live(t):
    try:
        _watch(t, t.keypad.scan_forever())
        _watch(t, t.ui.beep_forever())
        t.ui.show(_STARTING)
        try:
            _open_stores(t)
        except Fault as fault:
            await _out_of_service(t, fault)
        drop(
            "kassette.startup",
            "kassette.store.boots",
            "kassette.store.mount",
            "kassette.store.mount_keys",
            "kassette.codec.settings",
        )
        await _start_devices(t)
        _watch(t, t.paper.print_forever(t))
        while True:
            try:
                await _report(t)
                break
            except Fault as fault:  # the flash takes no record of what was interrupted: no sale may come before it
                _start_uplink(t)  # what is there already goes out, and makes room
                await _out_of_service(t, fault)
        drop("kassette.flows.truth", "kassette.flows.recovery", "kassette.flows.split")
        if t.journal.batch != t.journal.keys.batch:  # a close whose slip may not be on paper
            t.paper.put(COPY | CLOSING, t.journal.batch_first - 1)
        _start_uplink(t)
        gc.collect()
        log("ready", t.journal.next_serial, t.till.next_slip, gc.mem_alloc())  # pyright: ignore
        while True:
            await _serve(t, await _idle(t))
    except Exception as error:
        await _last_resort(t, error)


def drop(*names):
    """Forget modules that are not needed for a while; the heap has better uses."""
    for name in names:
        if sys.modules.pop(name, None):
            package, _, own = name.rpartition(".")
            delattr(sys.modules[package], own)
    gc.collect()


def _watch(t, coro):
    """Run a task whose death is the terminal's."""

    async def guard():
        try:
            await coro
        except Exception as error:
            await _last_resort(t, error)

    t.tasks.append(asyncio.create_task(guard()))


async def _last_resort(t, error):
    """A bug: log what and where, say so, start again. The text of the exception stays unsaid: it may hold anything."""
    log("bug " + type(error).__name__, getattr(error, "code", 0))
    t.ui.show(_E_BUG)
    await t.clock.sleep_ms(_READ_MS)
    t.board.restart()


# --- boot


def _open_stores(t):
    """Its own function: a name in a frame that lives for ever, as that of `_live`, would keep what `drop` lets go."""
    from kassette import startup

    startup.open_stores(t)


async def _report(t):
    from kassette.flows import truth

    await truth.report(t)


async def _start_devices(t):
    """Reader and printer: what doesn't answer is noted, and tried again when it is needed."""
    board = t.board
    t.reader = PN532(board.reader_link, t.clock)
    t.purse = Purse(t.reader, t.settings, t.random)
    t.printer = Printer(board.printer_link, t.clock)
    t.paper = Paper(t.clock)
    await _start_reader(t)
    try:
        await t.printer.start()
    except Fault as fault:
        t.paper.trouble = fault.code
        log("printer", fault.code)


async def _start_reader(t):
    try:
        await t.reader.start()
        t.reader_trouble = 0
    except Fault as fault:
        t.reader_trouble = fault.code
        log("reader", fault.code, fault.at)


def _start_uplink(t):
    """Unless it runs already."""
    from kassette.net.uplink import Uplink

    if t.uplink:
        return
    t.uplink = Uplink(t.board.net, t.settings, t.journal, t.clock, t.random, t.wall)
    _watch(t, t.uplink.run_forever())


async def _out_of_service(t, fault):
    """No sale is possible: say why, until a full journal has room again, else for ever; a key shows it again."""
    log("out of service", fault.code, fault.at)
    t.ui.show(fault.code, fault.at)
    while fault.code != _E_FULL or t.journal.fill_percent() >= 100:
        try:
            await t.ui.key(_TURN_MS if fault.code == _E_FULL else -1)
            t.ui.show(fault.code, fault.at)
        except Cancelled:
            pass


# --- between two customers


async def _idle(t):
    """Show the idle screen until a key is pressed, and return it; upload, erase ahead and check meanwhile."""
    shown = None
    turns = 0
    t.uplink.release()
    while True:
        now = _idle_view(t)
        if now != shown or (now[3] and turns % _NOTE_TURNS == 0):
            t.ui.idle(*now)
            shown = now
        try:
            key = await t.ui.key(_TURN_MS)
            t.uplink.hold()
            return key
        except Cancelled:
            turns += 1
        if turns >= _QUIET_TURNS:
            await _use_quiet(t, turns)


def _idle_view(t):
    """(clock, network, age of the oldest unsent record in s, what needs attention): the arguments of `Ui.idle`."""
    now = t.wall.now()
    _, _, _, hour, minute, _ = civil(now, t.settings.utc_offset_min)
    oldest = t.journal.oldest_unsent_time
    unsent_s = max(0, now - oldest) // 60 * 60 if oldest else 0
    fill = t.journal.fill_percent()
    trouble = (
        t.reader_trouble,
        t.paper.trouble,
        _E_DAMAGED if t.journal.damaged or t.till.is_locked else 0,
        _E_FULL if fill >= 100 else _E_NEARLY_FULL if fill >= 80 else _E_HALF if fill >= 50 else 0,
        0 if t.wall.is_trusted else _E_CLOCK,
        t.uplink.trouble if t.board.net.is_up() else _E_NET_DOWN,
        t.mode_note,
    )
    return "%02d:%02d" % (hour, minute), t.board.net.is_up(), unsent_s, tuple([code for code in trouble if code])


async def _use_quiet(t, turns):
    """What may take a while, one thing at a time."""
    journal = t.journal
    try:
        if turns % _TEND_TURNS == _QUIET_TURNS and (
            journal.damaged or t.till.is_locked or journal.batch != journal.keys.batch
        ):
            _tend(t)
        journal.prepare()
    except Fault as fault:
        log("journal", fault.code, fault.at)
    if turns % _CHECK_TURNS == 0 or t.reader_trouble:
        await _start_reader(t)
    if t.board.has_stripe and turns % _TEND_TURNS == _QUIET_TURNS:
        await _with_stripe(t, "")


def _tend(t):
    from kassette.flows import upkeep

    drop("kassette.flows.upkeep")  # gone with this frame, however it ends
    upkeep.tend(t)


# --- one flow at a time


async def _serve(t, key):
    """Run the flow that a key stands for, and show how it ended."""
    if t.reader_trouble:
        await _start_reader(t)
    try:
        await _flow(t, key)
        await t.ui.pause(_READ_MS)
    except FlowEnd as end:
        await _show_end(t, end.code, end.argument)
    except Fault as fault:
        log("flow", fault.code, fault.at)
        if t.till.open:  # a card may have paid for what could not be recorded: the next boot says so
            raise
        await _show_end(t, fault.code, fault.at)
    finally:
        t.purse.close()
        try:
            await t.reader.release()
        except Fault as fault:
            t.reader_trouble = fault.code
    drop("kassette.flows.desk", "kassette.flows.close", "kassette.flows.recovery", "kassette.flows.split")


async def _flow(t, key):
    is_sale = key.isdigit()
    if is_sale:
        t.keypad.unread(key)
    if t.board.has_stripe and (is_sale or key == "#"):
        await _with_stripe(t, key)
    elif is_sale:
        from kassette.flows.sale import sale

        await sale(t)
    elif key == "#":
        raise Cancelled(_E_CANCELLED)
    elif key in "ABC":
        from kassette.flows import desk

        await (desk.balance, desk.reprint, desk.total)["ABC".find(key)](t)


async def _with_stripe(t, key):
    """What only a terminal with a stripe reader does: nothing of it is in memory elsewhere."""
    from kassette import parts

    try:
        await parts.run(t, key, drop)
    finally:
        drop(*["kassette." + name for name in parts.MODULES.split()])


async def _show_end(t, code, number):
    t.ui.show(code, number)
    if code != _E_CANCELLED:
        t.ui.beep(BAD)
    await t.ui.pause(_READ_MS)
