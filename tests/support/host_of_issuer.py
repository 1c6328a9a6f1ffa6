"""An issuer's host for tests: ISO 8583 over TCP, accounts with money, and everything that a line can do wrong.

Written from the standard's message types, not from the connector: it knows a sale by field 37, pays once however often it is
asked, and takes back what it has never seen.
"""

import socketserver
import threading

import iso8583
from iso8583.specs import default_ascii

RIGHT, SILENT, DEAF, HANG_UP, GARBAGE, FOREIGN, HUGE = (
    "right",
    "silent",
    "deaf",
    "hang up",
    "garbage",
    "foreign",
    "huge",
)


class SimulatedHost:
    """`balances`: account number -> minor units. `fates`: of the next messages, RIGHT when there is none left.

    SILENT acts and says nothing; DEAF does not even act.
    """

    def __init__(self, balances):
        self.balances = dict(balances)
        self.fates = []
        self.heard = []  # (type, trace number) of every message
        self._sales = {}  # field 37 -> [number, amount, whether it is charged]
        self._lock = threading.Lock()
        host = self

        class Line(socketserver.BaseRequestHandler):
            def handle(self):
                while True:
                    head = self.request.recv(2)
                    if len(head) < 2:
                        return
                    length = int.from_bytes(head, "big")
                    data = b""
                    while len(data) < length:
                        data += self.request.recv(length - len(data))
                    if not host._serve(self.request, data):
                        return

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Line)
        self._server.daemon_threads = True
        self.address = self._server.server_address
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _serve(self, line, data) -> bool:
        asked, _ = iso8583.decode(data, default_ascii)
        with self._lock:
            self.heard.append((asked["t"], int(asked["37"])))
            fate = self.fates.pop(0) if self.fates else RIGHT
            code = "" if fate == DEAF else self._act(asked)
        told = {name: asked[name] for name in ("2", "3", "4", "7", "11", "37", "41")}
        told |= {"t": asked["t"][:2] + "10", "39": code or "96"}
        if fate == FOREIGN:
            told["37"] = "999999999999"
        raw, _ = iso8583.encode(told, default_ascii)
        if fate == GARBAGE:
            raw = b"\x00" * len(raw)
        if fate in (SILENT, DEAF):
            return True
        if fate == HANG_UP:
            return False
        line.sendall(b"\xff\xff" if fate == HUGE else len(raw).to_bytes(2, "big") + raw)
        return True

    def _act(self, asked) -> str:
        number, amount, reference = asked["2"], int(asked["4"]), asked["37"]
        sale = self._sales.get(reference)
        if asked["t"] in ("0400", "0401"):
            assert asked["90"][:4] == "0100" and asked["90"][4:10] == asked["11"]
            if sale and sale[2]:
                self.balances[number] += sale[1]
            self._sales[reference] = [number, amount, False]
            return "00"
        if asked["t"] == "0100" and sale:
            return "00" if sale[2] else "12"
        if number not in self.balances:
            return "14"
        if asked["t"] in ("0220", "0221"):
            if not (sale and sale[2]):
                self.balances[number] -= amount  # the goods are gone: it may go below zero
                self._sales[reference] = [number, amount, True]
            return "00"
        if self.balances[number] < amount:
            return "51"
        self.balances[number] -= amount
        self._sales[reference] = [number, amount, True]
        return "00"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
