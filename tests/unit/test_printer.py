"""The printer driver: what counts as printed, and why something isn't."""

import asyncio

from paper_printer import PaperPrinter
from vclock import VirtualClock

from kassette.drivers.printer import PAPER_NEAR_END, PAPER_OK, Printer
from kassette.errors import Fault

SLIP = b"".join([b"line %03d of a slip, 31 columns\n" % i for i in range(20)])


def bench(script, us_per_byte=1000, **state):
    """Run `await script(printer, paper, clock)`."""
    clock = VirtualClock()
    paper = PaperPrinter(clock, us_per_byte)
    for name in state:
        setattr(paper, name, state[name])
    printer = Printer(paper, clock)
    asyncio.run(clock.run(script(printer, paper, clock)))


async def code_of(awaitable):
    try:
        await awaitable
    except Fault as fault:
        return fault.code
    return 0


def test_a_slip_is_printed_whole_and_once():
    async def script(printer, paper, clock):
        await printer.start()
        await printer.print(SLIP)
        assert paper.slip == SLIP
        await printer.print(b"second\n")
        assert paper.slip == SLIP + b"second\n"

    bench(script)


def test_print_returns_when_the_paper_has_it_and_not_before():
    async def script(printer, paper, clock):
        await printer.start()
        start = clock.now
        await printer.print(SLIP)
        assert clock.now - start >= len(SLIP) - 10  # 1 ms a byte

    bench(script)


def test_no_more_than_two_chunks_wait_in_the_printer():
    async def script(printer, paper, clock):
        await printer.start()
        await printer.print(SLIP)
        assert 96 < paper.most_waiting <= 256

    bench(script)


def test_status_names_what_is_wrong():
    async def script(printer, paper, clock):
        await printer.start()
        assert await printer.status() == PAPER_OK
        paper.near = True
        assert await printer.status() == PAPER_NEAR_END
        paper.room = 0
        assert await printer.status() == 601
        paper.cover = True
        assert await printer.status() == 602
        paper.cover = False
        paper.room = 1000
        paper.error = True
        assert await printer.status() == 604
        paper.error = False
        paper.unplug()
        assert await printer.status() == 603
        paper.plug_in()
        assert await printer.status() == PAPER_NEAR_END

    bench(script)


def test_a_silent_printer_fails_at_the_start():
    async def script(printer, paper, clock):
        assert await code_of(printer.start()) == 603
        assert await code_of(printer.print(SLIP)) == 603
        paper.plug_in()
        await printer.start()
        await printer.print(SLIP)
        assert paper.slip == SLIP

    bench(script, is_plugged=False)


def test_nothing_is_sent_to_a_printer_that_is_not_ready():
    async def script(printer, paper, clock):
        await printer.start()
        for name, value, code in (("cover", True, 602), ("error", True, 604), ("room", 0, 601)):
            before = getattr(paper, name)
            setattr(paper, name, value)
            paper.written = bytearray()
            assert await code_of(printer.print(SLIP)) == code
            assert b"line" not in bytes(paper.written)
            setattr(paper, name, before)

    bench(script)


def test_paper_that_ends_in_the_middle_is_noticed():
    async def script(printer, paper, clock):
        await printer.start()
        paper.room = 300
        assert await code_of(printer.print(SLIP)) == 601
        assert paper.slip == SLIP[: len(paper.slip)] and len(paper.slip) <= 300

    bench(script)


def test_paper_that_ends_with_the_last_byte_is_noticed():
    async def script(printer, paper, clock):
        await printer.start()
        paper.room = len(SLIP)  # the slip is on the paper, but its marker is behind the end
        assert await code_of(printer.print(SLIP)) == 601

    bench(script)


def test_after_the_reload_the_slip_comes_whole_and_an_old_marker_counts_for_nothing():
    async def script(printer, paper, clock):
        await printer.start()
        paper.room = 300
        assert await code_of(printer.print(SLIP)) == 601
        held = len(paper.slip)
        paper.room = 300  # again too short: what the printer still held takes some of it
        assert await code_of(printer.print(SLIP)) == 601
        paper.room = 1 << 30
        await printer.print(SLIP)
        assert paper.slip.endswith(SLIP) and held

    bench(script, us_per_byte=5000)


def test_what_was_torn_is_ended_before_the_next_slip():
    async def script(printer, paper, clock):
        await printer.start()
        assert bytes(paper.written).count(b"\0\0\0\0\x1b@") == 1
        paper.room = 300
        assert await code_of(printer.print(SLIP)) == 601
        paper.room = 1 << 30
        paper.written = bytearray()
        await printer.print(SLIP)
        written = bytes(paper.written)
        assert 0 < written.find(b"\0\0\0\0\x1b@") < written.find(b"line 000")
        paper.written = bytearray()
        await printer.print(SLIP)
        assert b"\0\0\0\0" not in bytes(paper.written)  # nothing was torn this time

    bench(script)


def test_unplugging_in_the_middle_is_noticed_and_the_slip_comes_whole_later():
    async def script(printer, paper, clock):
        await printer.start()

        async def pull():
            await clock.sleep_ms(200)
            paper.unplug()

        task = asyncio.create_task(pull())
        assert await code_of(printer.print(SLIP)) == 603
        await task
        assert await code_of(printer.print(SLIP)) == 603
        paper.plug_in()
        await printer.print(SLIP)
        assert paper.slip.endswith(SLIP)

    bench(script)


def test_a_printer_that_lost_its_buffer_is_found_out():
    async def script(printer, paper, clock):
        await printer.start()

        async def blink():
            await clock.sleep_ms(200)
            paper.unplug()
            paper.plug_in()

        task = asyncio.create_task(blink())
        assert await code_of(printer.print(SLIP)) == 604  # says that all is well, and the marker never comes
        await task
        await printer.print(SLIP)
        assert paper.slip.endswith(SLIP)

    bench(script)


def test_after_a_lost_buffer_the_next_slip_waits_no_longer_than_it_must():
    async def script(printer, paper, clock):
        await printer.start()
        paper.room = 300
        assert await code_of(printer.print(SLIP)) == 601
        paper.unplug()
        paper.plug_in()
        paper.room = 1 << 30
        start = clock.now
        await printer.print(SLIP)
        assert paper.slip.endswith(SLIP)
        assert clock.now - start < len(SLIP) + 2500

    bench(script)


def test_a_slow_printer_is_waited_for_while_it_says_that_all_is_well():
    async def script(printer, paper, clock):
        await printer.start()
        await printer.print(SLIP)
        assert paper.slip == SLIP

    bench(script, us_per_byte=20000)


def test_the_cover_opened_in_the_middle():
    async def script(printer, paper, clock):
        await printer.start()

        async def lift():
            await clock.sleep_ms(100)
            paper.cover = True

        task = asyncio.create_task(lift())
        assert await code_of(printer.print(SLIP)) == 602
        await task

    bench(script)


def test_noise_on_the_line_is_no_answer():
    async def script(printer, paper, clock):
        await printer.start()
        assert await printer.status() == PAPER_OK
        paper.room = 0
        assert await printer.status() == 601

    bench(script, noise=b"\xff\x11\x13\x80\x91\x55")


def test_a_printer_without_markers_is_paced_and_asked():
    async def script(printer, paper, clock):
        await printer.start()
        start = clock.now
        await printer.print(SLIP)
        assert paper.slip == SLIP[: len(paper.slip)]
        assert clock.now - start >= 20 * 75  # lines at 50 mm/s
        paper.room = 200
        assert await code_of(printer.print(SLIP)) == 601

    bench(script, has_marker=False)


def test_a_start_with_the_paper_out_does_not_take_the_markers_for_missing():
    async def script(printer, paper, clock):
        await printer.start()
        paper.room = 1 << 30
        paper.written = bytearray()
        await printer.print(SLIP)
        assert paper.slip == SLIP
        assert bytes(paper.written).count(b"\x1d\x72\x01") == 7  # one behind each chunk

    bench(script, room=0)


def test_a_mute_printer_gets_slips_on_trust():
    async def script(_, paper, clock):
        printer = Printer(paper, clock, is_mute=True)
        await printer.start()
        assert await printer.status() == PAPER_OK
        start = clock.now
        await printer.print(SLIP)
        assert bytes(paper.written) == SLIP
        assert clock.now - start >= 20 * 75

    bench(script, is_mute=True)


def test_a_slip_may_be_a_bytearray_that_is_reused():
    async def script(printer, paper, clock):
        await printer.start()
        slip = bytearray(SLIP)
        await printer.print(slip)
        for i in range(len(slip)):
            slip[i] = 0
        assert paper.slip == SLIP

    bench(script)
