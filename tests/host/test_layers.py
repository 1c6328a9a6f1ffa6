"""Imports point down only (firmware/docs/adr/0001-layers.md), and nothing prints but the log."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / "firmware/kassette"
L0 = {"compat", "errors", "money", "hal", "log", "wallclock"}
ALLOWED = {
    "codec": L0 | {"codec"},
    "policy": L0 | {"policy"},
    "drivers": L0 | {"codec", "drivers"},
    "cards": L0 | {"codec", "cards"},
    "store": L0 | {"codec", "store"},
    "net": L0 | {"codec", "net"},
    "ui": L0 | {"codec", "ui"},
    "flows": L0 | {"codec", "policy", "flows"},
    "app": L0 | {"codec", "policy", "drivers", "cards", "store", "net", "ui", "flows", "startup", "parts"},
    "startup": L0 | {"codec", "store"},
    "parts": L0 | {"codec", "drivers", "store", "net", "flows", "parts"},
} | dict.fromkeys(L0, L0)
HOSTED = {"journal_format.py": {"store"}}  # what a technician does to a journal is done by the firmware's own steps
BOARD_ONLY = {"machine", "esp32", "esp", "network", "bluetooth", "socket", "ssl", "tls"}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "no relative imports"
            yield node.module
            if node.module == "kassette":
                yield from ("kassette." + alias.name for alias in node.names)


def faults(path, source):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    tree = ast.parse(source)
    for name in imported(tree):
        top, _, rest = name.partition(".")
        if top in BOARD_ONLY:
            yield "%s: only boards/ may import %s" % (path, top)
        if top in ("sim", "shared", "kassette_host"):
            yield "%s: the firmware may not import %s" % (path, top)
        if top == "kassette" and rest and rest.split(".")[0] not in ALLOWED.get(part, L0):
            yield "%s: %s may not import %s" % (path, part, name)
    if part != "log":
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                yield "%s: print outside log" % path


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    assert not list(faults(path, path.read_text()))


def test_host_tools_import_only_the_two_lowest_layers_of_the_firmware():
    for path in sorted((ROOT / "host_tools/kassette_host").rglob("*.py")):
        allowed = L0 | {"codec", "policy"} | HOSTED.get(path.name, set())
        for name in imported(ast.parse(path.read_text())):
            top, _, rest = name.partition(".")
            if top == "kassette" and rest:
                assert rest.split(".")[0] in allowed, "%s imports %s" % (path, name)


def test_the_check_itself_bites():
    assert list(faults(PACKAGE / "flows/sale.py", "from kassette.drivers import pn532"))
    assert list(faults(PACKAGE / "flows/sale.py", "from sim import board"))
    assert list(faults(PACKAGE / "codec/tlv.py", "import machine"))
    assert list(faults(PACKAGE / "codec/tlv.py", "print(1)"))
    assert not list(faults(PACKAGE / "drivers/pn532.py", "from kassette.codec import tlv"))


def test_public_functions_have_docstrings():
    missing = []
    for path in sorted([*PACKAGE.rglob("*.py"), *(ROOT / "host_tools/kassette_host").rglob("*.py")]):
        if "standins" in path.parts:
            continue
        tree = ast.parse(path.read_text())
        if not ast.get_docstring(tree):
            missing.append(str(path))
        for node in tree.body:
            is_public = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name[0] != "_"
            if is_public and not ast.get_docstring(node):
                missing.append("%s: %s" % (path, node.name))
    assert not missing
