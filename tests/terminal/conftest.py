"""A whole virtual terminal per test: the real firmware as a process, its plug in the test's hand."""

import pytest

from kassette_host.sim.bench import Bench


@pytest.fixture
def bench():
    """Powered on, keyed, idle, two cards with 100.00 each in the hand."""
    with Bench() as started:
        yield started
        assert not started.terminal.log or "bug" not in " ".join(started.terminal.log)


@pytest.fixture
def cold():
    """The same with the power still off."""
    prepared = Bench()
    yield prepared
    prepared.terminal.close()
