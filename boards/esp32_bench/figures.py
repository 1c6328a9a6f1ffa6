"""What the bench asks for between two steps of a test: heaps and flash operations. Imported when asked."""

import gc
import sys
from struct import pack

import esp32
import micropython

from __main__ import counts


def collect(dropped: int) -> bytes:
    """Eight u32: gc.mem_alloc, gc.mem_free; of the system's heap free, largest piece; flash reads, programs, erases;
    panel frames dropped.

    The collector's own account goes to the REPL's UART: the largest free piece in it can't be tried for on this port,
    where a failed trial makes the heap grow.
    """
    sys.modules.pop("esp32_bench.figures", None)
    gc.collect()
    micropython.mem_info()
    regions = esp32.idf_heap_info(esp32.HEAP_DATA)
    system = sum([region[1] for region in regions]), max([region[2] for region in regions])
    return pack("<8I", gc.mem_alloc(), gc.mem_free(), *system, *counts, dropped)
