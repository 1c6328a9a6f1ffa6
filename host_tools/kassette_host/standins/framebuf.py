"""CPython stand-in for MicroPython's `framebuf`: MONO_VLSB, the calls that the firmware makes, tested call by call."""

MONO_VLSB = 0


class FrameBuffer:
    """Pixels in `buffer`: pages of 8 rows, one byte a column, the top pixel in bit 0."""

    def __init__(self, buffer, width, height, format, stride=None):
        stride = width if stride is None else stride
        if width < 1 or height < 1 or stride < width or format != MONO_VLSB:
            raise ValueError
        if len(buffer) < (height + 7) // 8 * stride:
            raise ValueError
        self._buffer = memoryview(buffer)
        self._width = width
        self._height = height
        self._stride = stride

    def _get(self, x, y):
        return self._buffer[self._stride * (y >> 3) + x] >> (y & 7) & 1

    def _set(self, x, y, colour):
        at = self._stride * (y >> 3) + x
        bit = 1 << (y & 7)
        self._buffer[at] = self._buffer[at] | bit if colour else self._buffer[at] & ~bit

    def _holds(self, x, y):
        return 0 <= x < self._width and 0 <= y < self._height

    def pixel(self, x, y, colour=None):
        if not self._holds(x, y):
            return None
        if colour is None:
            return self._get(x, y)
        self._set(x, y, colour)
        return None

    def fill(self, colour):
        self.fill_rect(0, 0, self._width, self._height, colour)

    def fill_rect(self, x, y, width, height, colour):
        for row in range(max(0, y), min(self._height, y + height)):
            for column in range(max(0, x), min(self._width, x + width)):
                self._set(column, row, colour)

    def blit(self, source, x, y, key=-1):
        for row in range(source._height):
            for column in range(source._width):
                colour = source._get(column, row)
                if colour != key and self._holds(x + column, y + row):
                    self._set(x + column, y + row, colour)
