"""What the bench asks for between two steps of a test: heaps and flash operations. Imported when asked."""

import gc
import sys
from struct import pack

import esp32
import micropython
from esp32_bench import raw


def collect(dropped: int) -> bytes:
    """Nine u32: gc.mem_alloc, gc.mem_free; of the system's heap free, largest piece, least ever free; flash reads,
    programs, erases; panel frames dropped.

    The collector's own account goes to the REPL's UART: the largest free piece in it can't be tried for on this port,
    where a failed trial makes the heap grow.
    """
    sys.modules.pop("esp32_bench.figures", None)
    gc.collect()
    micropython.mem_info()
    regions = esp32.idf_heap_info(esp32.HEAP_DATA)
    system = sum([r[1] for r in regions]), max([r[2] for r in regions]), sum([r[3] for r in regions])
    return pack("<9I", gc.mem_alloc(), gc.mem_free(), *system, *raw.counts, dropped)
