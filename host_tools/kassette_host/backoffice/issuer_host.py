"""The line to an issuer's host that keeps accounts itself: ISO 8583:1987 over TCP, a length of two bytes before each message.

    0100 / 0110   may this account pay?            field 39: 00 yes
    0220 / 0230   it was sold without asking
    0400 / 0410   take 0100 back; it may never have arrived. Field 90 names it
    0221, 0401    the same once more

Each sale has a trace number of ours, in fields 11 and 37: the host knows a repetition by it. Fields: 2 account number, 3
processing code, 4 amount, 7 transmission time, 11, 37, 39, 41 terminal, 49 currency, 90. Text in ASCII, bitmap in hex digits.
"""

import copy
import datetime
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

import iso8583
from iso8583.specs import default_ascii

_LENGTH = struct.Struct(">H")
_MOST = 4096
_STAN = 1_000_000
SPEC = copy.deepcopy(default_ascii)


class HostSilent(Exception):
    """No answer to this message in time, or no line: what became of it is unknown."""


@dataclass(frozen=True)
class Message:
    """What a message is about; `number` is the account's, `amount` in minor units, `time` u32 seconds of the first question."""

    trace: int
    number: str = field(repr=False)
    amount: int
    terminal: int
    time: int


class IssuerHost:
    """One connection, made when needed, one message at a time. `timeout_s`: for the whole of a message and its answer."""

    def __init__(self, address: tuple[str, int], currency: int = 156, timeout_s: float = 1.0):
        self._address = address
        self._currency = currency
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._line: socket.socket | None = None

    def authorise(self, message: Message) -> str:
        """The host's response code, two characters; "00": yes. Raises HostSilent."""
        return self._ask("0100", message)

    def advise(self, message: Message, is_repeat: bool = False) -> str:
        """Tell of a sale that was made without asking; the response code. Raises HostSilent."""
        return self._ask("0221" if is_repeat else "0220", message)

    def reverse(self, message: Message, is_repeat: bool = False) -> str:
        """Take a question back, whatever became of it; the response code. Raises HostSilent."""
        return self._ask("0401" if is_repeat else "0400", message)

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            self._hang_up()

    def _ask(self, kind: str, message: Message) -> str:
        asked = self._fields(kind, message)
        raw, _ = iso8583.encode(asked, SPEC)
        deadline = time.monotonic() + self._timeout_s
        with self._lock:
            try:
                line = self._connected(deadline)
                line.sendall(_LENGTH.pack(len(raw)) + raw)
                while True:  # what is no answer to this is one that came too late for an earlier message
                    told, _ = iso8583.decode(self._receive(line, deadline), SPEC)
                    if told["t"] == kind[:2] + "10" and (told.get("11"), told.get("37")) == (asked["11"], asked["37"]):
                        return told["39"]
            except (OSError, KeyError, iso8583.DecodeError) as error:
                self._hang_up()
                raise HostSilent(type(error).__name__)

    def _fields(self, kind: str, message: Message) -> dict[str, str]:
        stan, sent = "%06d" % (message.trace % _STAN), _moment(message.time)
        fields = {"t": kind, "2": message.number, "3": "000000", "4": "%012d" % message.amount, "7": sent, "11": stan}
        fields |= {"37": "%012d" % message.trace, "41": "%08X" % message.terminal, "49": "%03d" % self._currency}
        if kind[1] == "4":
            fields["90"] = "0100" + stan + sent + "0" * 22
        return fields

    def _connected(self, deadline: float) -> socket.socket:
        if self._line is None:
            self._line = socket.create_connection(self._address, max(deadline - time.monotonic(), 0.001))
        self._line.settimeout(max(deadline - time.monotonic(), 0.001))
        return self._line

    def _receive(self, line: socket.socket, deadline: float) -> bytes:
        (length,) = _LENGTH.unpack(_exactly(line, _LENGTH.size, deadline))
        if length > _MOST:
            raise OSError("a message of %d bytes" % length)
        return _exactly(line, length, deadline)

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


def _moment(seconds: int) -> str:
    """MMDDhhmmss of UTC, as field 7 has it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%m%d%H%M%S")


def _exactly(line: socket.socket, length: int, deadline: float) -> bytes:
    data = b""
    while len(data) < length:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        line.settimeout(left)
        part = line.recv(length - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data
