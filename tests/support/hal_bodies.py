"""One body for each contract of `hal`, run on the board itself, whichever it is; the host plays what hangs on it.

want VERB ARGUMENT..    said by a body: the host does it, or waits until it is so, then sends 06h on the reader's line
ok NAME, FAIL NAME ..   said after each body, and then `done`
"""

import asyncio
import io
import sys

_SECTOR = 4096
# UM0701: wake-up, SAMConfiguration (normal mode); its ACK and answer
_HELLO_READER = b"\x55\x55" + bytes(14) + b"\x00\x00\xff\x05\xfb\xd4\x14\x01\x14\x01\x02\x00"
_READER_ANSWER = b"\x00\x00\xff\x00\xff\x00\x00\x00\xff\x02\xfe\xd5\x15\x16\x00"
_SPOKEN = 20  # bytes that the reader says at once at `want speech`
_MS = 30_000  # what must come comes within; only a failure takes so long


async def clock(board, identity):
    clock = board.clock
    before = clock.ticks_ms()
    assert 0 <= before < 1 << 30
    await clock.sleep_ms(30)
    assert clock.elapsed_ms(before) >= 30
    assert 5 <= clock.elapsed_ms((clock.ticks_ms() - 5) & 0x3FFFFFFF) < 1000
    assert 1 << 28 <= clock.elapsed_ms((clock.ticks_ms() - (1 << 28)) & 0x3FFFFFFF) < (1 << 28) + 1000


async def signal(board, identity):
    signal = board.clock.signal()
    assert not await signal.wait(0)
    before = board.clock.ticks_ms()
    assert not await signal.wait(30)
    assert board.clock.elapsed_ms(before) >= 30
    signal.set()
    signal.set()
    assert await signal.wait(0)
    assert not await signal.wait(0), "a set flag is taken once"

    async def ring():
        signal.set()

    for timeout in (-1, _MS):
        task = asyncio.create_task(ring())
        assert await signal.wait(timeout)
        await task


async def flash(board, identity):
    flash = board.journal_flash
    for each in (flash, board.settings_flash, board.ratchet_flash):
        assert each.size >= 4 * _SECTOR and each.size % _SECTOR == 0
    last = flash.size // _SECTOR - 1
    flash.erase(last - 1)
    flash.erase(last)
    start = last * _SECTOR
    assert flash.is_blank(start - _SECTOR, 2 * _SECTOR)
    data = bytes([i * 7 + 1 & 0xFF for i in range(300)])
    flash.program(start + 200, memoryview(data))  # over a page's end, at an odd length
    found = bytearray(310)
    flash.read(start + 195, memoryview(found))
    assert found == b"\xff" * 5 + data + b"\xff" * 5
    assert flash.is_blank(start, 200) and flash.is_blank(start + 500, _SECTOR - 500)
    for at, length in ((start, 201), (start + 499, 1), (start + 499, 700), (start - 300, 600)):
        assert not flash.is_blank(at, length), (at, length)
    flash.program(start + 4000, b"\xf0\xff\x55")
    flash.program(start + 4000, bytearray(b"\x30\xff\x44"))
    found = bytearray(3)
    flash.read(start + 4000, found)
    assert found == b"\x30\xff\x44"
    flash.erase(last)
    assert flash.is_blank(start, _SECTOR)


async def _take(link, count):
    """That many bytes, in pieces as they come."""
    taken = b""
    piece = bytearray(4)
    while len(taken) < count:
        n = await link.readinto(memoryview(piece), _MS)
        assert 0 < n <= len(piece), taken
        taken += piece[:n]
    return taken


async def _want(board, what):
    """Have the host do it, or see it: a byte on the reader's line says that it has."""
    board.say("want " + what)
    assert await _take(board.reader_link, 1) == b"\x06"


async def _silence(board, link):
    """Nothing comes, and the whole time is waited for."""
    before = board.clock.ticks_ms()
    assert await link.readinto(memoryview(bytearray(4)), 40) == 0
    assert board.clock.elapsed_ms(before) >= 40


async def reader(board, identity):
    link = board.reader_link
    link.set_baud(115200)
    await _silence(board, link)
    for _ in range(3):
        link.write(_HELLO_READER)
        answer = await _take(link, len(_READER_ANSWER))
        assert answer == _READER_ANSWER, answer
        await _silence(board, link)
    board.say("want speech")
    await _take(link, 4)
    await board.clock.sleep_ms(50)  # the line's time for the rest
    link.discard()
    await _silence(board, link)
    link.discard()
    link.write(memoryview(_HELLO_READER))
    assert await _take(link, len(_READER_ANSWER)) == _READER_ANSWER


async def printer(board, identity):
    link = board.printer_link
    await _silence(board, link)
    link.write(b"\x10\x04\x01")  # DLE EOT 1
    assert (await _take(link, 1))[0] & 0x93 == 0x12
    link.write(memoryview(b"Kassette\n" * 20))
    await _want(board, "paper Kassette")
    link.write(b"\x10\x04\x01")
    link.discard()
    await _take(link, 1)
    await _silence(board, link)


async def display(board, identity):
    write = board.display.writeto
    write(0x3C, b"\x00\xae\x20\x00\x8d\x14\xa1\xc8\xaf")
    for page in range(8):
        write(0x3C, bytes((0, 0x21, 0, 127, 0x22, page, 7)))
        write(0x3C, memoryview(b"\x40" + bytes([0xFF if page == 3 else 0]) * 128))
    await _want(board, "page 3")


async def keys(board, identity):
    keys = board.keys
    assert len(keys.rows) == 4
    for row in keys.rows:
        row.value(0)
    assert keys.low_columns() == 0
    await keys.edge.wait(0)
    for name, row, column in (("5", 1, 1), ("A", 0, 3), ("*", 3, 0)):
        await _want(board, "press " + name)
        assert await keys.edge.wait(_MS), name
        await board.clock.sleep_ms(20)  # the contact's bounce
        assert keys.low_columns() == 1 << column
        for driven in range(4):
            for i in range(4):
                keys.rows[i].value(i != driven)
            assert keys.low_columns() == (1 << column if driven == row else 0), (name, driven)
        for each in keys.rows:
            each.value(1)
        assert keys.low_columns() == 0
        for each in keys.rows:
            each.value(0)
        await _want(board, "release " + name)
        while keys.low_columns():
            await board.clock.sleep_ms(10)
        await board.clock.sleep_ms(20)
        await keys.edge.wait(0)


async def tone(board, identity):
    for hz in (880, 3000, 0):
        board.tone.play(hz)
        await _want(board, "tone %d" % hz)


async def lamp(board, identity):
    for level in (1, 0):
        board.led.value(level)
        await _want(board, "lamp %d" % level)


async def random(board, identity):
    first, second = bytearray(32), bytearray(40)
    board.random.fill(first)
    board.random.fill(memoryview(second)[4:36])
    assert first != bytes(32) and first != second[4:36]
    assert second[:4] == bytes(4) and second[36:] == bytes(4)


async def _link(board, is_up):
    await _want(board, "network " + ("up" if is_up else "down"))
    while bool(board.net.is_up()) != is_up:
        await board.clock.sleep_ms(20)


async def net(board, identity):
    await _link(board, False)
    await _link(board, True)
    board.net.prepare(identity)
    for _ in range(2):
        stream = await board.net.open(identity, board.build_time, _MS)
        await stream.write(b"a line, please\n", _MS)
        heard = bytearray(100)
        n = 0
        while b"\n" not in heard[:n]:
            n += await stream.readinto(memoryview(heard)[n:], _MS)
        assert heard[:n] == b"A LINE, PLEASE\n"
        stream.close()


async def samples(board, identity):
    """What the host lets pass at the heads arrives sample for sample, at both of them, whatever is read in turn."""
    ports = board.stripe_ports()
    assert len(ports) == 2
    lengths = [port.block_len for port in ports]
    assert lengths[0] == lengths[1] and 2048 % lengths[0] == 0 and lengths[0] % 4 == 0
    block = bytearray(lengths[0])
    await _want(board, "flux")
    found = [[], []]
    levels, runs, still = [None, None], [0, 0], 0
    while not found[0] or still < 2048:
        still += len(block)
        for number in range(2):
            await ports[number].readinto(block)
            for at in range(len(block)):
                for bit in range(7, -1, -1):  # the first in time is the highest bit of a little-endian word
                    level = block[at ^ 3] >> bit & 1
                    if levels[number] not in (level, None):
                        found[number].append(runs[number])
                        runs[number] = still = 0
                    levels[number] = level
                    runs[number] += 1
    for port in ports:
        port.stop()
    assert [steps[1:] for steps in found] == [list(FLUX), list(reversed(FLUX))], found


FLUX = (
    87,
    88,
    1,
    40,
    300,
    2048,
    87,
    33,
)  # samples from one transition to the next, at one head; at the other, backwards

BODIES = (
    ("Uart", reader),  # first: what is wanted is answered on it
    ("Clock", clock),
    ("Signal", signal),
    ("Flash", flash),
    ("ByteLink", printer),
    ("I2C", display),
    ("Keys", keys),
    ("Tone", tone),
    ("OutPin", lamp),
    ("Random", random),
    ("Net", net),
    ("Samples", samples),
)


async def _run(board, identity):
    for name, body in BODIES:
        try:
            await body(board, identity)
            board.say("ok " + name)
        except Exception as error:
            text = io.StringIO()
            sys.print_exception(error, text)
            board.say("FAIL %s %s" % (name, text.getvalue().replace("\n", "|")))
    board.say("done")
    await board.clock.signal().wait()


def run(board, identity):
    """Every body, one after another, then nothing. `identity`: a `hal.TlsIdentity`; its server repeats lines in capitals."""
    asyncio.run(_run(board, identity))


class Identity:
    """A `hal.TlsIdentity` from the files of a folder."""

    def __init__(self, folder):
        for name in ("server_ca", "client_cert", "client_key"):
            with open("%s/%s.der" % (folder, name), "rb") as file:
                setattr(self, name, file.read())
        with open(folder + "/server.txt") as file:
            self.host, port = file.read().split()
        self.port = int(port)
