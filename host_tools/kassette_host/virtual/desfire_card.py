"""A DESFire EV1 card: framing of commands (native and ISO 7816-4 wrapped), sessions, applications, persistent state.

The commands themselves are in `desfire_auth`, `desfire_apps` and `desfire_data`. A native frame is `command | header |
data`, its answer `status | data`; wrapped it is `90 command 00 00 [Lc ...] 00`, answered by `data 91 status`. Longer
ones continue with AFh. Source: the frames of libfreefare and the traces in tests/vectors/desfire_ev1_*.json.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from kassette_host.cards.ev1_crypto import DES, PLAIN
from kassette_host.virtual.desfire_crypto import IntegrityError, Session
from kassette_host.virtual.desfire_files import CardFile, Refused, from_state
from kassette_host.virtual.isodep import Type4ACard

OK, MORE = 0x00, 0xAF
NO_CHANGES, OUT_OF_MEMORY, ILLEGAL_COMMAND, INTEGRITY, NO_SUCH_KEY = 0x0C, 0x0E, 0x1C, 0x1E, 0x40
LENGTH, AUTHENTICATION, ABORTED = 0x7E, 0xAE, 0xCA

_PART_LEN = 59  # data bytes of one answer frame
_FRAME_LEN = 60  # a native command frame
PICC = b"\0\0\0"
_ISO_PICC = bytes.fromhex("D2760000850100")

# What the card itself takes, in microseconds. An RF trace of an EV1 card behind a commercial reader showed 0.77 ms for
# SelectApplication, 2.47 and 2.03 ms for the steps of an authentication and 1.0 to 1.1 ms for reads; writes are
# estimates at 1 ms for each EEPROM page, and make the eight exchanges of a sale 20 ms together.
_WORK_US = {0x5A: 770, 0x0A: 2470, 0x1A: 2470, 0xAA: 2470, MORE: 400, 0xF5: 1000, 0xBD: 1070, 0xBB: 1070}
_WORK_US |= {0x6C: 1000, 0x0C: 2600, 0xDC: 2600, 0x1C: 2600, 0x3B: 3000, 0x3D: 3000, 0xC7: 5500, 0xC4: 6000}
_WORK_US |= dict.fromkeys((0xCA, 0xCB, 0xCC, 0xCD, 0xC0, 0xC1, 0xDA, 0xDF, 0xFC), 9000)
_USUAL_WORK_US = 800


class Answer(NamedTuple):
    """What a command gives: data, the mode in which it travels, and how it is cut into frames if not every 59 bytes."""

    data: bytes = b""
    mode: int = PLAIN
    is_bare: bool = False  # no secure messaging: the session has ended, or the command never had any
    cuts: tuple[int, ...] = ()


class Command(NamedTuple):
    run: Callable[["DesfireCard", bytes], Answer | bytes]
    lengths: tuple[int, ...] = ()  # allowed lengths of the body
    payload: Callable[["DesfireCard", bytes], int] | None = None  # length of the whole body of one with protected data


COMMANDS: dict[int, Command] = {}


def command(code: int, *lengths: int, payload: Callable[["DesfireCard", bytes], int] | None = None):
    """Decorator: this function is the card's command `code`; it gives an Answer, or all bytes of a native one."""

    def register(function: Callable[["DesfireCard", bytes], Answer | bytes]):
        COMMANDS[code] = Command(function, lengths, payload)
        return function

    return register


class Application:
    """Keys, settings and files. The card itself is the application 000000 with one key."""

    def __init__(self, kind: int, settings: int, count: int, iso_id: int = 0, name: bytes = b""):
        self.kind = kind
        self.settings = settings
        self.keys = [bytes(24 if kind == 0x40 else 16)] * count
        self.versions = [0] * count
        self.files: dict[int, CardFile] = {}
        self.iso_id = iso_id
        self.name = name

    def to_state(self) -> dict:
        keys = [key.hex() for key in self.keys]
        own = {"kind": self.kind, "settings": self.settings, "keys": keys, "versions": list(self.versions)}
        files = {str(number): file.to_state() for number, file in sorted(self.files.items())}
        return own | {"iso_id": self.iso_id, "name": self.name.hex(), "files": files}


def _application(state: dict) -> Application:
    application = Application(state["kind"], state["settings"], 0, state["iso_id"], bytes.fromhex(state["name"]))
    application.keys = [bytes.fromhex(key) for key in state["keys"]]
    application.versions = list(state["versions"])
    application.files = {int(number): from_state(file) for number, file in state["files"].items()}
    return application


class DesfireCard(Type4ACard):
    """A DESFire EV1 4K as it leaves the factory: PICC master key DES, all zero, everything allowed.

    `random(n)` gives the n bytes of a nonce; tests make it replay a recorded one.
    """

    atqa = bytes.fromhex("4403")

    def __init__(self, uid: bytes, random: Callable[[int], bytes] = os.urandom):
        if len(uid) != 7 or uid[0] != 4:
            raise ValueError("a DESFire card has a UID of 7 bytes that begins with 04")
        self.random = random
        self.picc = Application(DES, 0x0F, 1)
        self.applications: dict[bytes, Application] = {}
        self.aid = PICC
        self.session: Session | None = None
        self._next: Callable[[bytes], bytes] | None = None
        self.takes_us = 0  # what the present command costs
        super().__init__(uid)

    # --- state

    @property
    def selected(self) -> Application:
        return self.applications[self.aid] if self.aid != PICC else self.picc

    def to_state(self) -> dict:
        """Everything that is written for good, for `json`."""
        applications = {aid.hex(): one.to_state() for aid, one in sorted(self.applications.items())}
        return {"uid": self.uid.hex(), "picc": self.picc.to_state(), "applications": applications}

    @classmethod
    def from_state(cls, state: dict, random: Callable[[int], bytes] = os.urandom) -> "DesfireCard":
        card = cls(bytes.fromhex(state["uid"]), random)
        card.picc = _application(state["picc"])
        card.applications = {bytes.fromhex(aid): _application(one) for aid, one in state["applications"].items()}
        return card

    def reset(self) -> None:
        super().reset()
        self.select(PICC)

    def select(self, aid: bytes) -> None:
        """Change the application: the session ends, pending changes are forgotten."""
        for file in self.selected.files.values():
            file.abort()
        self.aid = aid
        self.session = None
        self._next = None

    # --- framing

    def work_us(self) -> int:
        return self.takes_us

    def execute(self, command: bytes) -> bytes:
        """One command frame, native or wrapped; the answer in the same manner."""
        if len(command) >= 5 and command[0] == 0x90:
            return self._wrapped(command)
        if len(command) >= 4 and command[0] == 0x00:
            return self._iso(command)
        return self._native(command) if len(command) <= _FRAME_LEN else bytes([LENGTH])

    def _wrapped(self, apdu: bytes) -> bytes:
        body = apdu[5:-1] if len(apdu) > 5 else b""
        if apdu[2:4] != b"\0\0":
            return b"\x6a\x86"
        if (len(apdu) > 5 and apdu[4] != len(body)) or apdu[-1] != 0:
            return b"\x67\x00"
        answer = self._native(apdu[1:2] + body)
        return answer[1:] + bytes([0x91, answer[0]])

    def _iso(self, apdu: bytes) -> bytes:
        """ISO SELECT by name; other ISO 7816-4 commands are not there (6D00)."""
        self.takes_us = _WORK_US[0x5A]
        if apdu[1] != 0xA4:
            return b"\x6d\x00"
        name = apdu[5 : 5 + apdu[4]] if len(apdu) > 5 else b""
        if apdu[2] != 0x04 or not name:
            return b"\x6a\x82"
        for aid, one in [(PICC, _ISO_PICC), *((aid, one.name) for aid, one in self.applications.items())]:
            if one == name:
                self.select(aid)
                return b"\x90\x00"
        return b"\x6a\x82"

    def _native(self, frame: bytes) -> bytes:
        if not frame:
            return bytes([LENGTH])
        self.takes_us = _WORK_US.get(frame[0], _USUAL_WORK_US)
        try:
            return self._step(frame[0], frame[1:])
        except IntegrityError:
            status = INTEGRITY
        except Refused as refusal:
            status = refusal.status
        self.session = None
        self._next = None
        return bytes([status])

    def _step(self, code: int, body: bytes) -> bytes:
        following, self._next = self._next, None
        if following:
            if code != MORE:
                raise Refused(ABORTED)
            return following(body)
        if code not in COMMANDS:
            raise Refused(ILLEGAL_COMMAND)
        return self._begin(code, body)

    def _begin(self, code: int, body: bytes) -> bytes:
        found = COMMANDS[code]
        if found.payload:
            missing = found.payload(self, body) - len(body)
            if missing < 0:
                raise Refused(LENGTH)
            if missing:
                self._next = lambda more: self._begin(code, body + more)
                return bytes([MORE])
        elif len(body) not in found.lengths:
            raise Refused(LENGTH)
        elif self.session:
            self.session.note_command(bytes([code]) + body)
        return self._finish(found.run(self, body))

    def _finish(self, answer: Answer | bytes) -> bytes:
        if isinstance(answer, bytes):
            return answer
        data = answer.data
        if self.session and not answer.is_bare:
            data = self.session.seal(answer.mode, data, OK)
        return self._cut(data, answer.cuts)

    def _cut(self, data: bytes, cuts: tuple[int, ...]) -> bytes:
        length = cuts[0] if cuts else _PART_LEN
        if len(data) <= length:
            return bytes([OK]) + data
        rest = data[length:]
        self.expect(lambda body: self._cut_next(body, rest, cuts[1:]))
        return bytes([MORE]) + data[:length]

    def _cut_next(self, body: bytes, rest: bytes, cuts: tuple[int, ...]) -> bytes:
        if body:
            raise Refused(LENGTH)
        return self._cut(rest, cuts)

    def expect(self, following: Callable[[bytes], bytes]) -> None:
        """The next frame must be AFh; `following` gets its body and gives the whole native answer."""
        self._next = following

    # --- permissions

    def is_master(self) -> bool:
        """Whether the session is under key 0 of what is selected."""
        return self.session is not None and self.session.key_no == 0

    def demand(self, allowed: bool, status: int = AUTHENTICATION) -> None:
        if not allowed:
            raise Refused(status)
