"""The back office's listener: what its connections are like."""

import socket

from uvicorn.protocols.http.h11_impl import H11Protocol

from kassette_host.backoffice.listener import Listener, bind

_HANG_S = 60


def test_an_answer_is_not_kept_back_until_the_terminal_has_acknowledged_its_first_bytes():
    noted = []

    class Noting(H11Protocol):
        def connection_made(self, transport):
            super().connection_made(transport)
            noted.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    listener = Listener(app, bind("127.0.0.1", 0), 5, protocol=Noting)
    listener.start()
    try:
        with socket.create_connection(("127.0.0.1", listener.port), _HANG_S) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: till\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := connection.recv(4096):
                answer += part
    finally:
        listener.stop()
    assert answer.startswith(b"HTTP/1.1 204") and noted and all(noted)
