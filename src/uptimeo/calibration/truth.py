"""What does the target say about its own delays? The words between it and who measures. Pure."""

import json
from dataclasses import dataclass
from typing import Any

_NUMBER = "{:012.6f}"
_FIRST = '{{"port": "{:05d}", "tls_ms": "{}", "wait_ms": "{}", "transfer_ms": "'
_LAST = '{}"}}'
_BYTES = len(_FIRST.format(0, *[_NUMBER.format(0)] * 2)) + len(_LAST.format(_NUMBER.format(0)))
HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
    f"Content-Length: {_BYTES}\r\nConnection: close\r\n\r\n"
).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the target listens, and the CA that signed its certificate."""

    host: str
    http_port: int
    https_port: int
    ca_pem: str

    @property
    def https_url(self) -> str:
        """Where it answers over TLS."""
        return f"https://{self.host}:{self.https_port}/"

    @property
    def http_url(self) -> str:
        """Where it answers without."""
        return f"http://{self.host}:{self.http_port}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What one answer was held for, in ms: from what the target received to what it sent.

    `tls_ms` is from the client's hello to the server's flight, `wait_ms` from the request to the
    first bytes, `transfer_ms` from there to the last. `port` is where the client came from.
    """

    port: int
    tls_ms: float
    wait_ms: float
    transfer_ms: float


def first_part(port: int, tls_ms: float | None, wait_ms: float) -> bytes:
    """The part of the body that is sent with the headers."""
    return _FIRST.format(port, _NUMBER.format(tls_ms or 0.0), _NUMBER.format(wait_ms)).encode()


def last_part(transfer_ms: float) -> bytes:
    """The rest of the body."""
    return _LAST.format(_NUMBER.format(transfer_ms)).encode()


def read_truth(body: bytes | str) -> Truth:
    """What the body says. Raises ValueError for another one."""
    found: Any = json.loads(body)
    try:
        return Truth(
            port=int(found["port"]),
            tls_ms=float(found["tls_ms"]),
            wait_ms=float(found["wait_ms"]),
            transfer_ms=float(found["transfer_ms"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError("the body is not the calibration target's") from error
