"""`kassette backoffice`: the back office by itself, until Ctrl-C."""

import logging
import os
import pathlib
import signal
import sys
import threading

from kassette_host.backoffice.keystore import KeyStoreError
from kassette_host.backoffice.office import BackOffice, Config
from kassette_host.backoffice.store import StoreError

PASSPHRASE = "KASSETTE_PASSPHRASE"
_NO_START = 3
_REFUSED = 6


def run_backoffice(directory: str, host: str, terminal_port: int, page_port: int) -> int:
    """Serve until SIGINT or SIGTERM; the exit code: 0, 3 a port is taken, 6 directory, key store or database do not open.

    The passphrase comes from the environment (KASSETTE_PASSPHRASE) or from the keyboard.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    config = Config(pathlib.Path(directory), _passphrase(), host=host, terminal_port=terminal_port, page_port=page_port)
    try:
        office = BackOffice(config)
    except (KeyStoreError, StoreError, OSError) as error:
        print("The back office does not open: %s." % error, file=sys.stderr)
        return _REFUSED
    try:
        ports = office.start()
    except OSError as error:
        print("The back office can't listen: %s." % (error.strerror or error), file=sys.stderr)
        office.close()
        return _NO_START
    print("pages      http://%s:%d/office/" % (host, ports.pages))
    print("terminals  https://%s:%d/v1/slots (client certificate required)" % (host, ports.terminals), flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        office.close()
    return 0


def _passphrase() -> str:
    given = os.environ.get(PASSPHRASE)
    if given is not None:
        return given
    import getpass

    return getpass.getpass("Passphrase of the key store: ")
