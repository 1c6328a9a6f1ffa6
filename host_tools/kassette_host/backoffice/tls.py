"""Mutual TLS for terminals: the context, and the client certificate where the application finds it.

uvicorn checks client certificates but does not show them to the application. This protocol class puts the verified one
into scope["extensions"]["tls"]["client_cert_chain"], the key of the ASGI TLS extension, so that it can go once uvicorn
does the same. It also ends connections that dawdle over a request's head, which uvicorn's keep-alive timer lets be.
"""

import asyncio
import re
import ssl
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from uvicorn.protocols.http.h11_impl import H11Protocol

from kassette_host.pki import Pki

_CHAIN = "client_cert_chain"


def server_context(pki: Pki) -> ssl.SSLContext:
    """TLS 1.2 and 1.3; only for clients with a certificate of the device CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pki.server_pem, pki.server_key_pem)
    context.load_verify_locations(pki.ca_pem)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class TerminalProtocol(H11Protocol):
    """HTTP/1.1 over mutual TLS."""

    head_timeout_s = 10.0  # from the connection, or from the first byte, to the whole head of a request

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = _with_certificate(self.app, transport.get_extra_info("ssl_object"))
        self._patience: asyncio.TimerHandle | None = None
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif not self.transport.is_closing():
            self._expect_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.trailing_data[0] and not self.transport.is_closing():  # the next request has begun already
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(self.head_timeout_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def terminal_protocol(timeout_s: float) -> type[TerminalProtocol]:
    """The protocol with another patience."""
    return type("PatientProtocol", (TerminalProtocol,), {"head_timeout_s": timeout_s})


def _with_certificate(app: Callable, connection: ssl.SSLObject) -> Callable:
    chain = [ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")]

    async def application(scope, receive, send):
        scope.setdefault("extensions", {})["tls"] = {_CHAIN: chain}
        await app(scope, receive, send)

    return application


def peer(scope) -> tuple[int, str] | None:
    """The terminal that the client certificate names, and the certificate's SHA-256 as hex; None when it names none."""
    chain = scope.get("extensions", {}).get("tls", {}).get(_CHAIN, ())
    if not chain:
        return None
    certificate = x509.load_pem_x509_certificate(chain[0].encode())
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1 or not re.fullmatch("[0-9a-fA-F]{8}", str(names[0].value)):
        return None
    return int(str(names[0].value), 16), certificate.fingerprint(hashes.SHA256()).hex()
