"""Which certificates did a server present? Read from the handshake, refused ones too. Pure."""

from collections.abc import Iterator

_CERTIFICATE = 11  # RFC 8446, 4: the handshake message of that kind
_HEADER = 4


class Presented:
    """The certificates of one handshake in DER, leaf first."""

    def __init__(self, most: int = 20) -> None:
        self.chain: tuple[bytes, ...] = ()
        self._most = most

    def message(self, kind: int, message: bytes, *, tls13: bool) -> None:
        """Take note of a handshake message. One that makes no sense is OpenSSL's to refuse."""
        if kind == _CERTIFICATE and not self.chain and message[:1] == bytes([_CERTIFICATE]):
            found = _certificates(message[_HEADER:], tls13=tls13)
            self.chain = tuple(each for each, _ in zip(found, range(self._most), strict=False))


def _certificates(body: bytes, *, tls13: bool) -> Iterator[bytes]:
    if tls13:
        body = body[1 + body[0] :] if body else b""  # the context of the request
    rest = body[3 : 3 + int.from_bytes(body[:3], "big")]
    while len(rest) > 3:
        size = int.from_bytes(rest[:3], "big")
        yield rest[3 : 3 + size]
        rest = rest[3 + size :]
        if tls13:
            rest = rest[2 + int.from_bytes(rest[:2], "big") :]
