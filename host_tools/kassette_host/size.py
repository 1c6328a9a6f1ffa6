"""What the code costs the device, against a budget file: each source module by itself, and each board's linked bundle.

The heap is measured on the real interpreter (`gc.mem_alloc()` after a collection, before and after the import), each
module after those that it imports. On the 64-bit interpreter code takes about 1.45 times what it takes on a 32-bit
chip (firmware/docs/adr/0003-linked-bundle.md). A module by itself says whose code grew; only the linked bundle says
what the device pays.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kassette_host import ROOT, bundle
from kassette_host.link.module import Module
from kassette_host.link.program import Program
from kassette_host.sim.wire import MICROPYTHON

BUDGET = ROOT / "firmware/size_budget.json"
_LETTERS = 128
_LAYERS = ["", "codec", "policy", "drivers", "cards", "store", "net", "ui", "flows"]

_PROBE = """
import gc, sys, asyncio
from asyncio import core
sys.path[:] = [sys.argv[1], ".frozen"]
for number in range(int(sys.argv[2])):
    setattr(core, "name%d" % number, 0)
for name in sys.argv[3:]:
    gc.collect()
    before = gc.mem_alloc()
    __import__(name)
    gc.collect()
    print(name, gc.mem_alloc() - before)
"""

# What a chip's port has and the interpreter here hasn't, and what its main.py has; nothing of it is called.
_PORTS = {
    "sim": "",
    "esp32_bench": """
import sys
class Port:
    WLAN = None
sys.modules.update({"machine": Port, "network": Port})
counts = open_partition = None
""",
}

Sizes = dict[str, tuple[int, int]]  # module path -> `.mpy` bytes, heap bytes of its import


def _layer(path: str) -> tuple:
    parts = path[1:].split("/")
    layer = parts[1] if len(parts) > 2 else ""
    return (parts[0] != "kassette", _LAYERS.index(layer) if layer in _LAYERS else 99, path)


def _import(files: dict[str, bytes], order: list[str], names: int, port: str = "") -> Sizes:
    """Import the modules of `order`, all of `files` being there. Raises RuntimeError with what the interpreter printed.

    `names`: so many are interned first. The table of names doubles when it is full; beyond 1260 it has room for 1280 more.
    `port`: code that runs before.
    """
    dotted = [name[1:-4].replace("/", ".") for name in order]
    with tempfile.TemporaryDirectory() as folder:
        for path, code in files.items():
            target = Path(folder + path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(code)
        command = [MICROPYTHON, "-X", "heapsize=1m", "-c", port + _PROBE, folder, str(names), *dotted]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    heap = dict(line.rsplit(" ", 1) for line in done.stdout.split("\n") if line)
    return {name: (len(files[name]), int(heap[d])) for name, d in zip(order, dotted)}


def measure() -> Sizes:
    """Every source module of firmware and shared board code, by itself, in the order of the layers."""
    files = {p: code for p, code in bundle.separate("sim").items() if p.startswith(("/kassette/", "/shared/"))}
    found = _import(files, _after_imports(files), 1300)
    return {path: found[path] for path in sorted(files, key=_layer)}


def _after_imports(files: Iterable[str]) -> list[str]:
    """The modules in an order in which each comes after those that it imports."""
    paths = bundle.sources("sim")
    dotted = {path[1:-4].replace("/", "."): path for path in files}
    modules = {
        name: Module(name, bundle.strip(paths[path[:-4]].read_text()), name, dotted) for name, path in dotted.items()
    }
    (unit,) = Program(modules, {"all": list(modules)}).units
    return [dotted[module.name] for module in unit.modules]


def measure_linked(board: str) -> Sizes:
    """The merged modules, in the order in which the board imports them, and of the others their `.mpy` bytes.

    The chip's are measured on the same 64-bit interpreter as all others: to be compared, not what the chip has to pay.
    """
    files = bundle.modules(board)
    hostlink = {path: code for path, code in bundle.separate(board).items() if path == "/sim/hostlink.mpy"}
    parts = ["/%s.mpy" % part.replace(".", "/") for part in bundle.PARTS]
    sizes = _import(files | hostlink, [*hostlink, *parts], 0, _PORTS[board])
    return {part: sizes[part] for part in parts} | {path: (len(files[path]), 0) for path in files if path not in parts}


class _Report:
    """A table, and what in it is over its budget."""

    def __init__(self) -> None:
        self.table = Table(
            "module", "mpy", "budget", "import heap", "budget", title="What the code costs the device, in bytes"
        )
        self.over: list[str] = []

    def add(self, name: str, sizes: tuple[int, int], allowed: list[int] | None) -> None:
        limits = allowed or [0, 0]
        is_over = any(size > limit for size, limit in zip(sizes, limits))
        if allowed is None:
            self.over.append("%s has no budget" % name)
        elif is_over:
            self.over.append("%s takes %d and %d bytes, allowed are %d and %d" % (name, *sizes, *limits))
        row = (name, str(sizes[0]), str(limits[0]), str(sizes[1]), str(limits[1]))
        self.table.add_row(*row, style="red" if is_over else None)


def report(check: bool) -> int:
    """Print the table; with `check`, 1 when a module or the linked bundle is over its budget, else 0."""
    budget = json.loads(BUDGET.read_text())
    result = _Report()
    measured = measure()
    for name, sizes in measured.items():
        result.add(name[1:-4], sizes, budget["modules"].get(name[1:-4]))
    for name in budget["modules"]:
        if "/%s.mpy" % name not in measured:
            result.over.append("%s is in the budget but not in the bundle" % name)
    for board in _PORTS:
        result.table.add_section()
        linked = measure_linked(board)
        for name, sizes in linked.items():
            result.table.add_row("linked " + name[1:-4], str(sizes[0]), "", str(sizes[1] or "when used"), "")
        total = (sum(size for size, _ in linked.values()), sum(heap for _, heap in linked.values()))
        result.add("the linked bundle of " + board, total, budget["linked"].get(board))
    Console().print(result.table)
    for line in result.over:
        print("over budget: " + line)
    return 1 if check and result.over else 0


def accept() -> None:
    """Write the present sizes, plus a twentieth, as the budget of each module; the linked bundles' limits are firm.

    The heap gets 128 bytes more: the letters of names lie in blocks of that size, and whoever starts one pays for it.
    """
    budget = json.loads(BUDGET.read_text())
    rounded = {
        name[1:-4]: [-(-(size * 21 // 20 + extra) // 16) * 16 for size, extra in zip(sizes, (0, _LETTERS))]
        for name, sizes in measure().items()
    }
    BUDGET.write_text(json.dumps({"linked": budget["linked"], "modules": rounded}, indent=1) + "\n")
