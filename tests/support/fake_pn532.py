"""A PN532 on a UART for unit tests of its driver, in the subset that both runtimes share; it can be told to fail.

Its frames are packed and unpacked here a second time, on purpose: the driver's codec is not used.
"""

_ACK = b"\x00\x00\xff\x00\xff\x00"
_NACK = b"\x00\x00\xff\xff\x00\x00"
_BAUDS = (9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)


def packed(body, is_extended=False):
    """The chip's frame around `body` (code and data)."""
    body = b"\xd5" + bytes(body)
    high, low = len(body) >> 8, len(body) & 0xFF
    if is_extended or high:
        head = bytes((0, 0, 0xFF, 0xFF, 0xFF, high, low, -high - low & 0xFF))
    else:
        head = bytes((0, 0, 0xFF, low, -low & 0xFF))
    return head + body + bytes((-sum(body) & 0xFF, 0))


class FakeLink:
    """`hal.ByteLink` on a virtual clock; what is written goes to `chip.receive` at once."""

    def __init__(self, clock):
        self.clock = clock
        self.baud = 0
        self.chip = None
        self._incoming = []  # [due_ms, bytes], in order

    def push(self, data, delay_ms=0):
        if data:
            self._incoming.append([self.clock.now + delay_ms, bytes(data)])
        self._incoming.sort(key=lambda entry: entry[0])

    def drop_pending(self):
        """Forget what is not due yet: the chip was told to give up."""
        self._incoming = [entry for entry in self._incoming if entry[0] <= self.clock.now]

    async def readinto(self, buffer, timeout_ms):
        assert len(buffer) > 0, "no room"
        assert timeout_ms > 0
        deadline = self.clock.now + timeout_ms
        while not self._incoming or self._incoming[0][0] > self.clock.now:
            if self.clock.now >= deadline:
                return 0
            await self.clock.sleep_ms(min(5, deadline - self.clock.now))
        due, data = self._incoming.pop(0)
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        if data[count:]:
            self._incoming.insert(0, [due, data[count:]])
        return count

    def write(self, data):
        if self.baud == self.chip.baud:
            self.chip.receive(bytes(data))

    def discard(self):
        self._incoming = [entry for entry in self._incoming if entry[0] > self.clock.now]

    def set_baud(self, rate):
        self.baud = rate


class FakeChip:
    """`faults` maps a command code to the names of what goes wrong in its next runs, in order; "" is nothing."""

    def __init__(self, link):
        self._link = link
        link.chip = self
        self.baud = 115200
        self.is_asleep = True  # LowVbat: only a wake-up and SAMConfiguration end it
        self.is_field_on = False
        self.field_off_at = 0
        self.ic = 0x32
        self.targets = []  # the target data of each card in the field
        self.card = lambda command: b"\x00"  # one exchange: the card's answer, or an int: the chip's status
        self.poll_ms = 150
        self.faults = {}
        self.commands = []  # what it ran
        self.aborts = 0
        self.nacks = 0
        self._last = b""

    def receive(self, data):
        if data[:2] == b"\x55\x55":
            self.is_asleep = False if self.is_asleep is False else None  # woken: waits for SAMConfiguration
        elif data == _ACK:
            self.aborts += 1
            self._link.drop_pending()
            if self.commands and self.commands[-1][:1] == b"\x10":
                self.baud = _BAUDS[self.commands.pop()[1]]
        elif data == _NACK:
            self.nacks += 1
            self._link.push(self._last)
        else:
            self._command(data)

    def _command(self, data):
        at = 5 if data[3] != 0xFF or data[4] != 0xFF else 8
        assert data[:3] == b"\x00\x00\xff" and data[at] == 0xD4
        assert sum(data[at:-1]) & 0xFF == 0 and data[-1] == 0
        command = data[at + 1 : -2]
        code = command[0]
        if self.is_asleep is not False and (self.is_asleep or code != 0x14):
            return
        self.is_asleep = False
        queue = self.faults.get(code)
        self._send(code, command, queue.pop(0) if queue else "")

    def _send(self, code, command, fault):
        if fault == "silent":
            return
        if fault in ("chip nack", "chip error"):
            self._link.push(_NACK if fault == "chip nack" else b"\x00\x00\xff\x01\xff\x7f\x81\x00")
            return
        if fault == "stale":
            self._link.push(packed(b"\x33") + packed(bytes((code + 1, 0, 0xBB))))
        if fault == "ack with a bad bit":
            self._link.push(b"\x00\x00\xff\x00\xfb\x00")
        elif fault == "ack without its ff":
            self._link.push(b"\x00\x00\xff\x00\x00")
        elif fault != "no ack":
            self._link.push(_ACK)
        delay_ms, data = self._run(code, command)
        answer = packed(bytes((code + 1,)) + data, fault == "extended")
        self._last = answer
        if fault == "no answer":
            return
        if fault == "other code":
            answer = packed(bytes((code + 3,)) + data)
        elif fault == "babble":
            self._last = b""
            for i in range(60):
                self._link.push(b"\x00\xff\x03\x42\x11", 35 * i)
            return
        elif fault in ("bad", "bad twice"):
            answer = answer[:-2] + bytes((answer[-2] ^ 1, 0))
            self._last = answer if fault == "bad twice" else self._last
        elif fault == "bad length":
            answer = answer[:4] + b"\x00" + answer[5:]
        elif fault == "long length":
            answer = answer[:3] + b"\xf0\x10" + answer[5:]
        elif fault == "cut":
            answer = answer[: len(answer) // 2]
        elif fault == "cut twice":
            self._last = answer = answer[:-3]
        elif fault == "empty":
            answer = packed(bytes((code + 1,)))
        elif fault == "junk first":
            answer = b"\x00\xff\x12\x00\x55\xff" + answer
        elif fault == "pieces":
            for i in range(len(answer)):
                self._link.push(answer[i : i + 1], delay_ms + 7 * i)
            return
        self._link.push(answer, delay_ms)

    def _run(self, code, command):
        self.commands.append(command)
        if code == 0x02:
            return 1, bytes((self.ic, 1, 6, 7))
        if code == 0x4A:
            self.is_field_on = True
            if self.targets:
                return 8, bytes((len(self.targets),)) + b"".join(self.targets)
            return self.poll_ms, b"\x00"
        if code == 0x40:
            answer = self.card(command[2:])
            return 5, bytes((answer,)) if isinstance(answer, int) else b"\x00" + bytes(answer)
        if command[:2] == b"\x32\x01":
            self.is_field_on = command[2] & 1 == 1
            self.field_off_at = self._link.clock.now
        return 1, b""


def target(uid, number=1, sel_res=0x20, ats=b"\x06\x75\x77\x81\x02\x80"):
    """Target data of InListPassiveTarget for a DESFire card."""
    return bytes((number, 0x03, 0x44, sel_res, len(uid))) + uid + ats
