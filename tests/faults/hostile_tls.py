"""What can a server do before it has shown who it is? Endpoints for everything that speaks TLS."""

import ssl
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tests.faults.hostile import Hostile, dripping, flooding, reset_after, saying
from tests.support.servers import Script, mute
from uptimeo.domain.result import ErrorType as E

_RECORD = b"\x16\x03\x03"
_JUNK = {
    "http": b"HTTP/1.1 200 OK\r\n\r\n",
    "zeros": bytes(1000),
    "empty hello": _RECORD + struct.pack(">H", 4) + b"\x02\x00\x00\x00",
    "record too long": _RECORD + struct.pack(">H", 60_000) + b"\x0b" * 60_000,
    "certificate first": _RECORD + struct.pack(">H", 9) + b"\x0b\x00\x00\x05\x00\x00\x02\x00\x01",
    "alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "close": b"\x15\x03\x03\x00\x02\x01\x00",
    "hello of 16 MiB": _RECORD + struct.pack(">H", 4) + b"\x02\xff\xff\xff",
}
_REFUSED = (E.TLS_HOSTNAME, E.TLS, E.TLS_UNTRUSTED, E.TLS_SELF_SIGNED)
_BROKEN = (E.TLS, E.CONNECTION_RESET, E.TLS_VERSION)
Key = ec.EllipticCurvePrivateKey


def _certificate(
    name: str, issuer: tuple[str, Key] | None, key: Key, *extra: str, size: int = 0
) -> x509.Certificate:
    now = datetime.now(UTC)
    by, signer = issuer or (name, key)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, by)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=not extra, path_length=None), critical=True)
    )
    if names := [*extra, *(f"n{number}.example" for number in range(size))]:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
        made = made.add_extension(alternatives, critical=False)
    return made.sign(signer, hashes.SHA256())


def _context(chain: list[x509.Certificate], key: Key) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as directory:
        path = Path(directory, "chain.pem")
        pem = b"".join(each.public_bytes(Encoding.PEM) for each in chain)
        form = PrivateFormat.TraditionalOpenSSL
        path.write_bytes(pem + key.private_bytes(Encoding.PEM, form, NoEncryption()))
        context.load_cert_chain(path)
    return context


@cache
def _large(names: int) -> ssl.SSLContext:
    """A certificate for so many names."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _context([_certificate("huge", None, key, "localhost", size=names)], key)


@cache
def long_chain(length: int) -> ssl.SSLContext:
    """A chain of so many certificates, each signed by the next."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(length + 1)]
    chain = [
        _certificate(
            f"c{n}", (f"c{n + 1}", keys[n + 1]), keys[n], *(["localhost"] if not n else [])
        )
        for n in range(length)
    ]
    return _context(chain, keys[0])


def _made(make: Callable[[int], ssl.SSLContext], size: int) -> Callable[[], ssl.SSLContext]:
    return lambda: make(size)


_FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "http": ("https://127.0.0.1:{port}/", {}),
    "tls": ("tls://127.0.0.1:{port}", {}),
    "tcp": ("tcp://127.0.0.1:{port}", {"tls": {}}),
    "smtp": ("smtp://127.0.0.1:{port}", {"security": "tls"}),
    "ws": ("wss://127.0.0.1:{port}/", {}),
    "grpc": ("grpcs://127.0.0.1:{port}", {}),
    "dns": ("dns://127.0.0.1:{port}/a.example", {"transport": "tls"}),
}


def _scripts() -> Iterator[tuple[str, Script, tuple[E, ...]]]:
    for name, junk in _JUNK.items():
        yield f"TLS junk: {name}", saying(b"", junk), (*_BROKEN, E.TLS_TIMEOUT)
    yield "handshake that stalls", mute, (E.TLS_TIMEOUT,)
    stalled = saying(b"", _RECORD + struct.pack(">H", 200) + b"\x02")
    yield "hello that stalls", stalled, (E.TLS_TIMEOUT,)
    yield "dripping handshake", dripping(_RECORD + b"\x40\x00\x02", b"\x00"), (E.TLS_TIMEOUT,)
    warnings = flooding(b"", b"\x15\x03\x03\x00\x02\x01\x5a" * 1000, listens=True)
    yield "endless warnings", warnings, _BROKEN
    empty = flooding(b"", b"\x16\x03\x03\x00\x00" * 1000, listens=True)
    yield "endless empty records", empty, _BROKEN
    resets = reset_after(_JUNK["record too long"], cycle(range(12)), listens=False)
    yield "reset in the handshake", resets, _BROKEN


def tls() -> list[Hostile]:
    """All of them, for each type that speaks TLS."""
    found = []
    for kind, (url, options) in _FORMS.items():
        for name, script, ends in _scripts():
            found.append(Hostile(name, script, ends, kind, url, options))
        for name, context in (
            ("certificate of 60 KB", _made(_large, 3000)),
            ("certificate of 1 MB", _made(_large, 50_000)),
            ("chain of 9", _made(long_chain, 9)),
            ("chain of 100", _made(long_chain, 100)),
            ("chain of 400", _made(long_chain, 400)),
        ):
            found.append(Hostile(name, mute, _REFUSED, kind, url, options, context))
    unverified = {"tls": {"verify": False}}
    for name, context in (("names", _made(_large, 3000)), ("chain", _made(long_chain, 100))):
        for kind in ("http", "tls"):
            # Nobody verifies it, so that all of it is read.
            ends = (E.FIRST_BYTE_TIMEOUT,) if kind == "http" else ()
            url = _FORMS[kind][0]
            found.append(Hostile(f"unverified {name}", mute, ends, kind, url, unverified, context))
    return found
