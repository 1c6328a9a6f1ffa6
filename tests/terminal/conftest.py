"""A whole terminal per test, its plug in the test's hand: a process in virtual time, or a chip (`--target`)."""

import os

import pytest

from kassette_host.rig import qemu
from kassette_host.rig.bench import ChipBench
from kassette_host.sim.bench import Bench


def pytest_collection_modifyitems(config, items):
    if config.getoption("--target") != "qemu":
        return
    reason = "CI=true: the chip is no part of it" if os.environ.get("CI") == "true" else qemu.missing()
    for item in items:
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def new_bench(pytestconfig):
    """Make a keyed terminal, power off, two cards with 100.00 each in the hand; as many as a test wants."""
    made = []

    def make(*arguments, **named):
        made.append((Bench if pytestconfig.getoption("--target") == "unix" else ChipBench)(*arguments, **named))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def cold(new_bench):
    """One of them."""
    return new_bench()


@pytest.fixture
def bench(cold):
    """Powered on and idle; nothing that a test does may end in the last resort."""
    cold.start()
    yield cold
    log = " ".join(cold.terminal.log)
    assert "bug" not in log and "Traceback" not in log and "Guru Meditation" not in log
