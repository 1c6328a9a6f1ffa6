"""A key matrix as its pins show it: `hal.Keys` whose switches a test closes and opens."""

NAMES = "123A456B789C*0#D"


class _Row:
    def __init__(self, matrix, number):
        self._matrix = matrix
        self._number = number

    def value(self, level):
        matrix = self._matrix
        before = matrix.joined()
        matrix.driven[self._number] = not level
        if matrix.joined() - before:
            matrix.edge.set()


class Matrix:
    """`reads` counts column reads; `has_ghosts` is a matrix without diodes."""

    def __init__(self, clock, has_ghosts=True):
        self.edge = clock.signal()
        self.rows = [_Row(self, i) for i in range(4)]
        self.driven = [False] * 4
        self.closed = set()
        self.reads = 0
        self._has_ghosts = has_ghosts

    def low_columns(self):
        self.reads += 1
        return sum(1 << column for column in self.joined())

    def joined(self):
        rows = {row for row in range(4) if self.driven[row]}
        columns = {key % 4 for key in self.closed if key // 4 in rows}
        for _ in range(4 if self._has_ghosts else 0):
            rows |= {key // 4 for key in self.closed if key % 4 in columns}
            columns |= {key % 4 for key in self.closed if key // 4 in rows}
        return columns

    def down(self, keys):
        before = self.joined()
        self.closed |= {NAMES.find(key) for key in keys}
        if self.joined() - before:
            self.edge.set()

    def up(self, keys):
        self.closed -= {NAMES.find(key) for key in keys}
