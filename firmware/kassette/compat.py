"""What differs between the two runtimes, in one place."""

import sys

IS_MICROPYTHON = sys.implementation.name == "micropython"


def wipe(secret: bytearray) -> None:
    """Overwrite a secret in place."""
    for i in range(len(secret)):
        secret[i] = 0
