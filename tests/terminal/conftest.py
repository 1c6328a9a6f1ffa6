"""A whole terminal per test, its plug in the test's hand: a process in virtual time, or a chip (`--target`)."""

import os

import pytest

from kassette_host.rig import target
from kassette_host.rig.bench import ChipBench
from kassette_host.sim.bench import Bench


def pytest_collection_modifyitems(config, items):
    name = config.getoption("--target")
    if name == "unix":
        return
    try:
        chosen = target.parse(name)
    except ValueError as error:
        raise pytest.UsageError("--target %s" % error)
    reason = "CI=true: the chip is no part of it" if os.environ.get("CI") == "true" else chosen.missing()
    for item in items:
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def chip_target(pytestconfig):
    """What the tests run on; None: the simulator."""
    name = pytestconfig.getoption("--target")
    return None if name == "unix" else target.parse(name)


@pytest.fixture
def new_bench(chip_target):
    """Make a keyed terminal, power off, two cards with 100.00 each in the hand; as many as a test wants."""
    made = []

    def make(*arguments, **named):
        made.append(ChipBench(*arguments, target=chip_target, **named) if chip_target else Bench(*arguments, **named))
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
