"""A TLS server with certificates on both sides that repeats each line in capitals, and what a terminal needs for it."""

import socket
import ssl
import threading

from kassette_host import pki


class LoudServer:
    """`port` on `address`; `folder` gets the terminal's identity, as `hal_bodies.Identity` reads it."""

    def __init__(self, folder, address="127.0.0.1"):
        made = pki.Pki(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(made.server_pem, made.server_key_pem)
        self._context.load_verify_locations(made.ca_pem)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._listener = socket.create_server((address, 0))
        self.port = self._listener.getsockname()[1]
        certificate, key = made.terminal(42)
        for name, data in (("server_ca", made.ca_der), ("client_cert", certificate), ("client_key", key)):
            (folder / (name + ".der")).write_bytes(data)
        (folder / "server.txt").write_text("%s %d" % (pki.SERVER_NAME, self.port))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._listener.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._repeat, args=(connection,), daemon=True).start()

    def _repeat(self, connection):
        with connection:
            try:
                with self._context.wrap_socket(connection, server_side=True) as stream:
                    for line in stream.makefile("rb"):
                        stream.sendall(line.upper())
            except OSError:
                pass  # the terminal went away
