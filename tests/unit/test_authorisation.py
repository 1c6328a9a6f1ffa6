"""One question over an open connection: its bytes, its deadline, and every way in which the other end fails."""

from office import SILENCE, Clock, Stream, http

from kassette.errors import Fault
from kassette.net import authorisation

_BODY = bytes(range(104))
_ANSWER = bytes(303)
_DEADLINE = 1_500


class Line(Stream):
    def __init__(self, clock, steps):
        self.clock = clock
        Stream.__init__(self, self)
        self.script = steps
        self.sent = b""

    async def write(self, data, timeout_ms):
        if self.write_fault:
            raise self.write_fault
        if self.write_ms >= timeout_ms:
            await self.clock.sleep_ms(timeout_ms)
            raise Fault(502)
        await self.clock.sleep_ms(self.write_ms)
        self.sent += bytes(data)
        self.steps = list(self.script)


async def outcome(steps, write_ms=0, write_fault=None):
    """(the answer's body or the code of the fault, how long it took, what was sent)"""
    clock = Clock()
    line = Line(clock, steps)
    line.write_ms = write_ms
    line.write_fault = write_fault
    try:
        got = bytes(await clock.run(authorisation.ask(line, "kassette-backoffice", _BODY, clock, _DEADLINE)))
    except Fault as fault:
        got = fault.code
    return got, clock.now, line.sent


async def test_the_request_in_one_write():
    got, _, sent = await outcome([http(_ANSWER)])
    assert got == _ANSWER
    assert sent == (
        b"POST /v1/authorise HTTP/1.1\r\nHost: kassette-backoffice\r\n"
        b"Content-Type: application/octet-stream\r\nContent-Length: 104\r\n\r\n" + _BODY
    )


async def test_an_answer_in_pieces():
    whole = http(_ANSWER)
    for cut in range(1, len(whole), 7):
        assert (await outcome([whole[:cut], 20, whole[cut:]]))[0] == _ANSWER, cut
    assert (await outcome([whole[i : i + 1] for i in range(len(whole))]))[0] == _ANSWER


async def test_whatever_the_server_does_it_is_over_at_the_deadline():
    whole = http(_ANSWER)
    for delay in list(range(0, 3_000, 25)) + [1_499, 1_500, 1_501, 60_000, 10**9]:
        for steps in ([delay, whole], [whole[:40], delay, whole[40:]], [whole[:-1], delay, whole[-1:]]):
            got, took, _ = await outcome(steps)
            assert took <= _DEADLINE, (delay, took)
            assert got == (_ANSWER if delay < _DEADLINE else 502), delay
    for write_ms in (0, 700, 1_499, 1_500, 10**9):
        got, took, _ = await outcome([800, whole], write_ms)
        assert took <= _DEADLINE and got == (_ANSWER if write_ms == 0 else 502), write_ms
        got, took, _ = await outcome([800, whole], 699)
        assert got == _ANSWER


async def test_silence_and_a_drip_without_end():
    whole = http(_ANSWER)
    assert (await outcome([SILENCE]))[:2] == (502, _DEADLINE)
    drip = []
    for i in range(len(whole)):
        drip += [whole[i : i + 1], 10]
    assert (await outcome(drip))[:2] == (502, _DEADLINE)


async def test_ends_refusals_nonsense():
    whole = http(_ANSWER)
    for steps, code in (
        ([], 502),
        ([whole[:50]], 502),
        ([whole[:-1]], 502),
        ([Fault(503)], 503),
        ([http(b"{}", status=409)], 507),
        ([http(b"{}", status=500)], 507),
        ([b"HTTP/1.1 200 OK\r\n\r\n"], 504),
        ([b"SSH-2.0-nothing\r\n\r\n"], 504),
        ([whole + b"!"], 504),
        ([http(bytes(5000))], 504),
        ([b"x" * 5000], 504),
        ([b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 400], 504),
        ([http(b"", length=999_999)], 504),
    ):
        assert (await outcome(steps))[0] == code, steps
    assert (await outcome([], write_fault=Fault(502)))[0] == 502


class Net:
    def __init__(self, up):
        self._up = up

    def is_up(self):
        return self._up


class Uplink:
    def __init__(self, stream, is_busy):
        self.stream = stream
        self.is_busy = is_busy


async def test_only_a_connection_that_stands_and_is_free_is_used():
    line = object()
    assert authorisation.stream_of(Uplink(line, False), Net(True)) is line
    for stream, is_busy, up, code in ((line, False, False, 501), (None, False, True, 502), (line, True, True, 502)):
        try:
            authorisation.stream_of(Uplink(stream, is_busy), Net(up))
            raise AssertionError("taken")
        except Fault as fault:
            assert fault.code == code
