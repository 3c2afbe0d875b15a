"""What does libcurl tell of a handshake while it happens? Pure.

Its figures have neither the certificates that were refused, nor protocol and cipher, nor the
moment in which a proxy's tunnel stood, nor why QUIC did not connect: only its trace shows them.
"""

import re
import time
from errno import ECONNREFUSED

from uptimeo.probes.curl.transfer import Handshake
from uptimeo.probes.network.presented import Presented

MAX_CERTIFICATES = 20
# curl.h: curl_infotype.
_TEXT, _TLS_IN, _TLS_OUT = 0, 5, 6
# RFC 8446, 4: kinds of handshake messages.
_CLIENT_HELLO, _CERTIFICATE = 1, 11
_RECORD_HEADER_BYTES = 5
_AGREED = re.compile(rb"SSL connection using (\S+) / (\S+)")
_ALPN = re.compile(rb"ALPN: server accepted (\S+)")
_TUNNEL = (b"CONNECT tunnel established", b"Opened SOCKS connection")
_UNSENT = re.compile(rb"sendmsg\(\) returned -1 \(errno (\d+)\)")
_REFUSED = re.compile(rb"QUIC: connection to \S+ port \d+ refused")
_NOT_TRUSTED = (b"SSL: ", b"SSL certificate OpenSSL verify result: ")


class Watcher:
    """Takes note of one transfer's trace; of several handshakes, the last one's.

    `hello_at` is when that one began, by `time.perf_counter`. `complaint` is what was wrong with
    its certificate. `errno` is what the kernel said to a datagram, 0 if nothing.
    """

    def __init__(self, began: float) -> None:
        self.tunnel_us = 0
        self.complaint: str | None = None
        self.errno = 0
        self.hello_at: float | None = None
        self._began = began
        self._presented = Presented(MAX_CERTIFICATES)
        self._agreed: re.Match[bytes] | None = None
        self._alpn: str | None = None
        self._is_tls13 = False

    def note(self, kind: int, data: bytes) -> None:
        """One piece of the trace, as libcurl's debug callback gets it."""
        if kind == _TEXT:
            self._text(data)
        elif kind == _TLS_IN:
            self._presented.message(_CERTIFICATE, data, tls13=self._is_tls13)
        elif kind == _TLS_OUT and len(data) > _RECORD_HEADER_BYTES and data[0] == _CLIENT_HELLO:
            self._presented = Presented(MAX_CERTIFICATES)
            self.hello_at = time.perf_counter()

    def handshake(self) -> Handshake:
        """What is known by now."""
        protocol, cipher = self._agreed.groups() if self._agreed else (None, None)
        return Handshake(
            protocol=_word(protocol),
            cipher=_word(cipher),
            alpn=self._alpn,
            presented=self._presented.chain,
        )

    def _text(self, line: bytes) -> None:
        if line.startswith(b"TLSv1."):
            self._is_tls13 = line.startswith(b"TLSv1.3")
        elif line.startswith(_TUNNEL):
            self.tunnel_us = round((time.perf_counter() - self._began) * 1e6)
        elif line.startswith(b"SSL"):
            self._tls_text(line)
        elif found := _UNSENT.match(line):
            self.errno = int(found[1])
        elif _REFUSED.match(line):
            self.errno = ECONNREFUSED
        elif line.startswith(b"ALPN") and (found := _ALPN.match(line)):
            self._alpn = _word(found[1])

    def _tls_text(self, line: bytes) -> None:
        if found := _AGREED.match(line):
            self._agreed = found
            self._alpn = None
        elif line.startswith(_NOT_TRUSTED):
            self.complaint = line.decode("utf-8", "replace").strip()


def _word(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("ascii", "replace")
