"""What the bench board's clock is set to when a connection is opened: `machine.RTC` prints it."""

import asyncio

from esp32_bench.raw import counts, open_partition  # noqa: F401  as main.py has it, for the board

from esp32_bench.board import Net  # isort: skip

net = Net("net", "key", "127.0.0.1", 1_795_420_800)
for now in (0, 1_900_000_000, 0):
    try:
        asyncio.run(net.open(None, now, 0))
    except AttributeError:  # without an identity it does not come to a connection
        pass
