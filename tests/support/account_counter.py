"""The scripted counter (`counter`) with what a sale on an account needs: a connection whose other end is a script.

`office(question) -> steps`, as `office.Stream` plays them: bytes arrive, an int waits so many ms, SILENCE, a Fault; then the
end. `delay(t, ms)`, `honest` and `answer` make such steps.
"""

import struct

import signer
from counter import NOW, Counter
from office import SILENCE, Random, Stream, http

from kassette import parts
from kassette.codec import account, authorise
from kassette.errors import Fault

KEY = b"a terminal's key"
NUMBER = b"90471100001234569"
DIGITS = b"90471100001234569311210xxxxx"
_HEADS = b"\r\n\r\n"


class Question:
    """What a terminal asked, by name."""

    def __init__(self, data):
        head, _, body = bytes(data).partition(_HEADS)
        assert head.startswith(b"POST /v1/authorise HTTP/1.1\r\nHost: ") and len(body) == authorise.REQUEST_LEN
        told = struct.unpack(authorise.REQUEST, body)
        self.magic, self.terminal, self.journal_id, self.serial, self.slip, self.amount, self.currency = told[:7]
        self.time, self.nonce, self.part, self.ksn, self.block = told[7:]


def answer(asked, decision=0, **changes):
    """The HTTP answer of an honest back office; `changes` replace what it would say."""
    get = changes.get
    told = struct.pack(
        authorise.ANSWER,
        authorise.AUTHORISATION,
        authorise.VERSION,
        get("terminal", asked.terminal),
        get("journal_id", asked.journal_id),
        get("serial", asked.serial),
        get("amount", asked.amount),
        get("nonce", asked.nonce),
        decision,
        get("balance", 5_000),
        get("left", 3),
        get("allowance", 20_000),
        get("time", NOW),
    )
    return http(told + signer.sign(told))


class Line(Stream):
    """A connection that stands; `written` has what was sent on it."""

    def __init__(self, counter):
        Stream.__init__(self, counter)
        self.counter = counter
        self.written = []

    async def write(self, data, timeout_ms):
        assert self.is_open
        if self.write_ms >= timeout_ms:
            await self.counter.clock.sleep_ms(timeout_ms)
            raise Fault(502)
        await self.counter.clock.sleep_ms(self.write_ms)
        self.written.append(bytes(data))
        self.steps = list(self.counter.office_says(Question(data)))


class Uplink:
    """As much of the uplink as a question needs."""

    def __init__(self, counter):
        self.stream = Line(counter)
        self.is_busy = False
        self.contact = NOW - 60
        self.failures = 0
        self.trouble = 0

    def close(self):
        if self.stream:
            self.stream.close()
        self.stream = None

    def release(self):
        pass


class Tools:
    """The terminal's own parts, but for the PIN keys: the "block" has the digits that were entered."""

    def __init__(self, counter):
        self._counter = counter
        self.authorise = parts.authorise
        self.is_open = parts.is_open

    def encipher_pin(self, t, pin, number):
        assert bytes([digit + 48 for digit in number]) == NUMBER
        self._counter.pins += 1
        self.last = pin  # not a copy: the flow has to wipe it
        return b"K" * 8 + self._counter.pins.to_bytes(4, "big"), bytes(pin) + b"\xff" * (16 - len(pin))


class AccountCounter(Counter):
    """`office_says` is the script; `asked` has every question."""

    def __init__(self, says=None, flash=None):
        Counter.__init__(self, flash)
        self.settings.token_key = bytearray(KEY)
        self.settings.allowance_minor = 20_000
        self.settings.answer_ms = 1_500
        self.settings.issuer = 4711
        self.settings.host = "kassette-backoffice"
        self.settings.signer_modulus = signer.MODULUS
        self.random = Random()
        self.wall = Wall()
        self.says = says or answer_at_once
        self.asked = []
        self.uplink = Uplink(self)
        self.mode_note = 0
        self.kept = parts.Kept()
        self.kept.mode = (account.ONLINE, 2, 0)
        self.kept.parts = Tools(self)
        self.kept.drop = lambda *names: None
        self.pins = 0  # keys used up

    def office_says(self, question):
        self.asked.append(question)
        return self.says(question)


class Wall:
    """A clock that the test moves."""

    is_trusted = True

    def __init__(self):
        self.time = NOW

    def now(self):
        return self.time

    def set(self, unix_s, trusted):
        self.time = max(self.time, unix_s)


def answer_at_once(question):
    return [answer(question)]


def never(question):
    return [SILENCE]
