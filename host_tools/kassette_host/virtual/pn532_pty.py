"""A virtual PN532 with a purse card in its field, on a PTY: python -m kassette_host.virtual.pn532_pty

The first line printed is the path to open. The keys are public: such a card is for tests and demonstrations only.
"""

import json
import pathlib
import signal
from typing import TextIO

import click

from kassette_host.cards.layout import HEADER_VERSION, Header
from kassette_host.cards.personalise import personalise
from kassette_host.virtual.desfire import DesfireCard, activate
from kassette_host.virtual.pn532 import VirtualPN532
from kassette_host.virtual.pty_port import PtyPort, serve

PUBLIC_MASTERS = {number: bytes([0x10 + number]) * 16 for number in range(4)}
OPENING_MINOR = 10_000
PERSONALISED_AT = 1_767_225_600  # 2026-01-01 00:00 UTC
EXPIRES_AT = 2_082_758_400  # 2036-01-01 00:00 UTC
_CNY = 156


def demo_card(uid: bytes, opening_minor: int = OPENING_MINOR) -> DesfireCard:
    """A purse under the public keys, with `opening_minor` on it."""
    card = DesfireCard(uid)
    header = Header(HEADER_VERSION, 0, 0, 0, int.from_bytes(uid[3:7], "big"), 1, _CNY, EXPIRES_AT)
    personalise(activate(card), uid, PUBLIC_MASTERS, header, opening_minor, PERSONALISED_AT)
    return card


def _card(uid: bytes, is_factory: bool, state: pathlib.Path | None) -> DesfireCard:
    if state and state.exists():
        return DesfireCard.from_state(json.loads(state.read_text()))
    return DesfireCard(uid) if is_factory else demo_card(uid)


def _stop(number: int, frame) -> None:
    raise KeyboardInterrupt


@click.command()
@click.option("--uid", default="04112233445566", help="The card's UID, 14 hex digits beginning with 04.")
@click.option("--factory", is_flag=True, help="A card as it leaves the factory instead of a purse.")
@click.option("--empty", is_flag=True, help="No card in the field.")
@click.option("--state", type=click.Path(path_type=pathlib.Path), help="Keep the card in this JSON file.")
@click.option("--trace", type=click.File("w"), help="Write every byte on the line to this file.")
def main(uid: str, factory: bool, empty: bool, state: pathlib.Path | None, trace: TextIO | None) -> None:
    """Offer a virtual PN532 on a PTY until interrupted; the path is the first line printed.

    The last line of the trace is the longest pause, in microseconds, that the machine made this process take.
    """
    signal.signal(signal.SIGTERM, _stop)
    card = _card(bytes.fromhex(uid), factory, state)
    port = PtyPort()
    if trace:
        port.on_bytes = lambda direction, data: print(direction, data.hex(), file=trace, flush=True)
    reader = VirtualPN532(port)
    if not empty:
        reader.put(card)
    serve(port, reader, lambda path: print(path, flush=True))
    if trace:
        print("pause", port.worst_pause_us, file=trace)
    if state:
        state.write_text(json.dumps(card.to_state()))


if __name__ == "__main__":
    main()
