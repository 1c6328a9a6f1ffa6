"""Two runtimes, one set of test files; the options and hooks that every test shares."""

import asyncio
import inspect
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/support"), str(ROOT / "boards"), str(ROOT / "tests/terminal")]
_HANG_S = 240


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="run the exhaustive suites in full")
    parser.addoption(
        "--target", default="unix", help="what the whole terminal runs on: unix, qemu or serial:.., see tests/README.md"
    )
    parser.addoption("--golden", action="store_true", help="accept the present pictures as golden")


def pytest_collection_modifyitems(config, items):
    kept = [item for item in items if _is_wanted(item, config)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _is_wanted(item, config):
    if item.get_closest_marker("soak") and not config.getoption("--soak"):
        return False
    target = config.getoption("--target")
    if target == "unix":
        return not item.get_closest_marker("chip")
    if target != "qemu" and item.get_closest_marker("emulated"):
        return False
    return item.path.parent.name == "terminal" and not item.get_closest_marker("sim")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run `async def test_...` on CPython as tests/mp_run.py does on MicroPython."""
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        asyncio.run(pyfuncitem.obj(**arguments))
        return True


def pytest_collect_file(file_path, parent):
    if file_path.parent.name in ("unit", "flows") and file_path.name.startswith("test_"):
        return MicroPythonFile.from_parent(parent, path=file_path)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server: `database()` gives the URL of a new, empty database."""
    from postgres import Server, binary
    from tools import need

    need(binary("initdb"), "postgresql")
    server = Server()
    yield server
    server.stop()


class MicroPythonFile(pytest.File):
    """The same test file once more, in a MicroPython process of its own."""

    def collect(self):
        yield MicroPythonItem.from_parent(self, name="micropython")


class MicroPythonItem(pytest.Item):
    def runtest(self):
        from tools import MICROPYTHON

        command = [MICROPYTHON, "-X", "heapsize=8m", "tests/mp_run.py", str(self.path.relative_to(ROOT))]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_HANG_S)
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)

    def repr_failure(self, excinfo):
        return str(excinfo.value)

    def reportinfo(self):
        return self.path, None, "%s on MicroPython" % self.path.name
