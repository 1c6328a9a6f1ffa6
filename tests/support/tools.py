"""The programs that tests start and nobody here wrote."""

import os
import shutil

import pytest

from kassette_host import ROOT

MICROPYTHON = os.environ.get("KASSETTE_MICROPYTHON", str(ROOT / ".venv/bin/micropython"))


def need(tool: str, package: str) -> None:
    """Skip a test whose tool is missing, naming the package that brings it; under CI=true that is a failure."""
    if shutil.which(tool) is None:
        text = "%s is missing: apt-get install %s" % (tool, package)
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
