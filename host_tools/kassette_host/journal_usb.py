"""The journal's partition of a board on USB, read through its REPL: a locked production board refuses, by design."""

import base64

_LABEL = "journal"
_PIECE = 4096


def read_partition(port: str) -> bytes:
    """The bytes of the partition `journal` of the board on `port`. Raises OSError when there is no board or no partition."""
    from mpremote.transport_serial import SerialTransport, TransportError

    try:
        board = SerialTransport(port, 115200)
        board.enter_raw_repl(soft_reset=False)
        try:
            return _read(board)
        finally:
            board.exit_raw_repl()
            board.close()
    except TransportError as error:
        raise OSError("no journal from %s: %s" % (port, error.__class__.__name__))


def _read(board) -> bytes:
    board.exec("from esp32 import Partition; from binascii import b2a_base64")
    board.exec("_p = Partition.find(Partition.TYPE_DATA, label='%s')[0]; _b = bytearray(%d)" % (_LABEL, _PIECE))
    size = int(board.eval("_p.info()[3]"))
    image = bytearray()
    for number in range(size // _PIECE):
        board.exec("_p.readblocks(%d, _b)" % number)
        image += base64.b64decode(board.exec("print(b2a_base64(_b).decode(), end='')"))
    return bytes(image)
