"""An OLED at the end of a `hal.I2C`: keeps every transfer, and the memory that horizontal addressing fills."""

_WITH_ARGUMENTS = {0x20: 1, 0x21: 2, 0x22: 2, 0x81: 1, 0x8D: 1, 0xA8: 1, 0xD3: 1, 0xD5: 1, 0xD9: 1, 0xDA: 1, 0xDB: 1}


class I2cPanel:
    """`is_there = False`: nobody acknowledges. `fails_at` is the number of transfers after which that happens."""

    def __init__(self):
        self.transfers = []
        self.commands = []
        self.memory = bytearray(b"\xaa" * 1024)
        self.is_there = True
        self.fails_at = None
        self._window = [0, 127, 0, 7]
        self._at = (0, 0)

    def writeto(self, address, data):
        if self.fails_at is not None:
            self.is_there = self.fails_at > 0
            self.fails_at -= 1
        if not self.is_there or address != 0x3C:
            raise OSError(19)
        data = bytes(data)
        self.transfers.append(data)
        if data[0] == 0x40:
            for byte in data[1:]:
                self._store(byte)
        else:
            assert data[0] == 0
            self._run(list(data[1:]))

    def _store(self, byte):
        first, last, top, bottom = self._window
        column, page = self._at
        self.memory[128 * page + column] = byte
        column += 1
        if column > last:
            column = first
            page = top if page == bottom else page + 1
        self._at = (column, page)

    def _run(self, data):
        while data:
            command = data.pop(0)
            arguments = [data.pop(0) for _ in range(_WITH_ARGUMENTS.get(command, 0))]
            self.commands.append(command)
            if command == 0x21:
                self._window[:2] = arguments
            elif command == 0x22:
                self._window[2:] = arguments
            if command in (0x21, 0x22):
                self._at = (self._window[0], self._window[2])
