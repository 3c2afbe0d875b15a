"""A TLS server on blocking sockets: asyncio closes a refused handshake before its alert is out."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.servers import OK, Address


@contextmanager
def alerting(context: ssl.SSLContext) -> Iterator[Address]:
    """Answers each request with 200; whom it refuses, it tells why."""
    ending = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_each() -> None:
            while not ending.is_set():
                accepted, _ = listener.accept()
                with suppress(OSError):
                    _answer(accepted, context)

        thread = threading.Thread(target=answer_each)
        thread.start()
        try:
            yield Address(port=listener.getsockname()[1], scheme="https")
        finally:
            ending.set()
            socket.create_connection(listener.getsockname()).close()
            thread.join()


def _answer(accepted: socket.socket, context: ssl.SSLContext) -> None:
    # What nobody has read would make closing a reset, which overtakes the alert.
    with accepted.dup() as below:
        try:
            with context.wrap_socket(accepted, server_side=True) as client:
                client.recv(65_536)
                client.sendall(OK)
        except ssl.SSLError:
            below.shutdown(socket.SHUT_WR)
            while below.recv(65_536):
                pass
