"""What each module costs the device: `.mpy` bytes, and the heap that its import takes, against a budget file.

The heap is measured on the real interpreter (`gc.mem_alloc()` after a collection, before and after the import), one
module after another in the order of the layers, from the same `.mpy` files that the bundle holds. On the 64-bit
interpreter code takes nearly the bytes that it takes on the chip, containers twice as many.
"""

import json
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kassette_host import ROOT, bundle
from kassette_host.sim.wire import MICROPYTHON

BUDGET = ROOT / "firmware/size_budget.json"
_LAYERS = ["", "codec", "policy", "drivers", "cards", "store", "net", "ui", "flows"]

_PROBE = """
import gc, sys, asyncio
from asyncio import core
sys.path[:] = [sys.argv[1], ".frozen"]
for name in sys.argv[2:]:
    gc.collect()
    before = gc.mem_alloc()
    __import__(name)
    gc.collect()
    print(name, gc.mem_alloc() - before)
"""


def _order(path: str) -> tuple:
    parts = path[1:].split("/")
    layer = parts[1] if len(parts) > 2 else ""
    return (parts[0] != "kassette", path == "/kassette/app.mpy", _LAYERS.index(layer) if layer in _LAYERS else 99, path)


def measure() -> dict[str, tuple[int, int]]:
    """Module path within the bundle -> (`.mpy` bytes, heap bytes of its import)."""
    modules = {
        path: code for path, code in bundle.separate("sim").items() if path.startswith(("/kassette/", "/shared/"))
    }
    names = sorted(modules, key=_order)
    with tempfile.TemporaryDirectory() as folder:
        for path, code in modules.items():
            target = Path(folder + path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(code)
        dotted = [name[1:-4].replace("/", ".") for name in names]
        done = subprocess.run(
            [MICROPYTHON, "-X", "heapsize=1m", "-c", _PROBE, folder, *dotted], capture_output=True, text=True
        )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    heap = dict(line.rsplit(" ", 1) for line in done.stdout.split("\n") if line)
    return {name: (len(modules[name]), int(heap[d])) for name, d in zip(names, dotted)}


def report(check: bool) -> int:
    """Print the table; with `check`, 1 when a module or the total is over its budget, else 0."""
    measured = measure()
    budget = json.loads(BUDGET.read_text())
    table = Table("module", "mpy", "budget", "import heap", "budget", title="What the device carries, in bytes")
    over = []
    for name, sizes in measured.items():
        allowed = budget["modules"].get(name[1:-4])
        if allowed is None:
            over.append("%s has no budget" % name)
            allowed = [0, 0]
        is_over = any(size > limit for size, limit in zip(sizes, allowed))
        if is_over:
            over.append("%s takes %d and %d bytes, allowed are %d and %d" % (name, *sizes, *allowed))
        style = "red" if is_over else None
        table.add_row(name[1:-4], str(sizes[0]), str(allowed[0]), str(sizes[1]), str(allowed[1]), style=style)
    over += [
        "%s is in the budget but not in the bundle" % n for n in budget["modules"] if "/%s.mpy" % n not in measured
    ]
    totals = [sum(sizes[i] for sizes in measured.values()) for i in range(2)]
    table.add_section()
    table.add_row("all", str(totals[0]), str(budget["total"][0]), str(totals[1]), str(budget["total"][1]))
    if any(total > limit for total, limit in zip(totals, budget["total"])):
        over.append("all modules take %d and %d bytes, allowed are %d and %d" % (*totals, *budget["total"]))
    Console().print(table)
    for line in over:
        print("over budget: " + line)
    return 1 if check and over else 0


def accept() -> None:
    """Write the present sizes, plus a twentieth, as the budget of each module; the total is kept."""
    budget = json.loads(BUDGET.read_text())
    rounded = {name[1:-4]: [-(-size * 21 // 20 // 16) * 16 for size in sizes] for name, sizes in measure().items()}
    budget["modules"] = rounded
    BUDGET.write_text(json.dumps(budget, indent=1) + "\n")
