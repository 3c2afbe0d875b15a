"""Which certificates are bad, and how? One of each kind, made in memory, served by OpenSSL."""

import datetime as dt
import ipaddress
import ssl
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from uptimeo.domain.result import ErrorType

_NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
_NAMES = ("localhost", "127.0.0.1")
Days = tuple[int, int]
_GOOD: Days = (-30, 60)
_LONG: Days = (-300, 600)
_PAST: Days = (-300, -10)
_FUTURE: Days = (10, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> str:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The key, without a password."""
        return str(
            self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ).decode()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Animal:
    """What a server presents, what a client trusts, and what a check has to make of it."""

    leaf: Holder
    sent: tuple[Holder, ...] = ()
    trusted: str
    expected: ErrorType | None = None
    crl: str | None = None

    def server(self) -> ssl.SSLContext:
        """The server's side; it accepts what it should not have been given."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(self.leaf.key_pem + "".join(each.pem for each in (self.leaf, *self.sent)))
            file.flush()
            context.load_cert_chain(file.name)
        return context

    def options(self) -> dict[str, str]:
        """The TLS options of a check."""
        return {"ca_pem": self.trusted} | ({} if self.crl is None else {"crl_pem": self.crl})


EXPECTED = {
    "good": None,
    "expired": ErrorType.TLS_EXPIRED,
    "not yet valid": ErrorType.TLS_NOT_YET_VALID,
    "wrong host": ErrorType.TLS_HOSTNAME,
    "self-signed": ErrorType.TLS_SELF_SIGNED,
    "unknown root": ErrorType.TLS_UNTRUSTED,
    "missing intermediate": ErrorType.TLS_UNTRUSTED,
    "expired intermediate": ErrorType.TLS_EXPIRED,
    "expired cross-signed root beside a good chain": None,
    "weak key": ErrorType.TLS_WEAK,
    "weak signature": ErrorType.TLS_WEAK,
    "revoked": ErrorType.TLS_REVOKED,
    "not revoked": None,
    "outdated list": ErrorType.TLS_UNTRUSTED,
    "for clients only": ErrorType.TLS_PURPOSE,
}


@dataclass(frozen=True, slots=True)
class Zoo:
    """All animals by name."""

    animals: dict[str, Animal] = field(default_factory=dict)

    @classmethod
    def new(cls) -> "Zoo":
        """Takes about 100 ms: all keys but one are of elliptic curves."""
        root = _issue("root", None, days=_LONG, authority=True)
        middle = _issue("intermediate", root, days=_LONG, authority=True)
        zoo = cls()
        zoo._add("good", _leaf(middle), (middle,), root)
        zoo._add("expired", _leaf(middle, days=_PAST), (middle,), root)
        zoo._add("not yet valid", _leaf(middle, days=_FUTURE), (middle,), root)
        zoo._add("wrong host", _leaf(middle, names=("elsewhere.example",)), (middle,), root)
        zoo._add("self-signed", _leaf(None), (), root)
        stranger = _issue("another root", None, days=_LONG, authority=True)
        strange = _issue("another intermediate", stranger, days=_LONG, authority=True)
        zoo._add("unknown root", _leaf(strange), (strange,), root)
        zoo._add("missing intermediate", _leaf(middle), (), root)
        old = _issue("old intermediate", root, days=_PAST, authority=True)
        zoo._add("expired intermediate", _leaf(old), (old,), root)
        zoo._add_crossed(root, middle)
        weak = _leaf(middle, key=rsa.generate_private_key(65537, 1024))
        zoo._add("weak key", weak, (middle,), root)
        zoo._add("weak signature", _with_sha1(_leaf(None), middle), (middle,), root)
        zoo._add_listed(root, middle)
        clients = _leaf(middle, usage=ExtendedKeyUsageOID.CLIENT_AUTH)
        zoo._add("for clients only", clients, (middle,), root)
        return zoo

    def _add(
        self, name: str, leaf: Holder, sent: tuple[Holder, ...], root: Holder, **more: str
    ) -> None:
        given = {"trusted": root.pem} | more
        animal = Animal(leaf=leaf, sent=sent, expected=EXPECTED[name], **given)
        self.animals[name] = animal

    def _add_crossed(self, root: Holder, middle: Holder) -> None:
        """As in 2021: the old root vouched for the new one, has expired, and is still trusted."""
        ancient = _issue("ancient root", None, days=_PAST, authority=True)
        crossed = _issue("root", ancient, days=_PAST, authority=True, key=root.key)
        name = "expired cross-signed root beside a good chain"
        self._add(name, _leaf(middle), (middle, crossed), root, trusted=root.pem + ancient.pem)

    def _add_listed(self, root: Holder, middle: Holder) -> None:
        """Also the root has a list: libcurl wants one of every authority in the chain."""
        leaf, of_root = _leaf(middle), _crl(root, [], _GOOD)
        for name, listed, days in (
            ("revoked", [leaf], _GOOD),
            ("not revoked", [], _GOOD),
            ("outdated list", [], _PAST),
        ):
            self._add(name, leaf, (middle,), root, crl=_crl(middle, listed, days) + of_root)


def _leaf(
    issuer: Holder | None,
    *,
    names: Sequence[str] = _NAMES,
    days: Days = _GOOD,
    key: Any = None,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
) -> Holder:
    alternatives = [
        x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
        for name in names
    ]
    extensions = [x509.SubjectAlternativeName(alternatives), x509.ExtendedKeyUsage([usage])]
    return _issue("leaf", issuer, days=days, key=key, extensions=extensions)


def _with_sha1(leaf: Holder, issuer: Holder) -> Holder:
    """Signed anew by the program `openssl`: the library does not sign with SHA-1 any more.

    The program takes a certificate that is signed by itself.
    """
    with tempfile.TemporaryDirectory() as name:
        ca = Path(name) / "ca.pem"
        ca.write_text(issuer.pem + issuer.key_pem)
        command = [
            "openssl",
            "x509",
            "-CA",
            str(ca),
            "-sha1",
            "-preserve_dates",
            "-set_serial",
            "7",
        ]
        done = subprocess.run(command, input=leaf.pem.encode(), capture_output=True, check=True)
    return Holder(certificate=x509.load_pem_x509_certificate(done.stdout), key=leaf.key)


def _issue(
    name: str,
    issuer: Holder | None,
    *,
    days: Days,
    authority: bool = False,
    key: Any = None,
    extensions: Sequence[x509.ExtensionType] = (),
) -> Holder:
    key = key or ec.generate_private_key(ec.SECP256R1())
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer.certificate.subject if issuer else _name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW + dt.timedelta(days=days[0]))
        .not_valid_after(_NOW + dt.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is not None:
        vouching = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(vouching, critical=False)
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return Holder(certificate=builder.sign(signer, hashes.SHA256()), key=key)


def _crl(issuer: Holder, revoked: Sequence[Holder], days: Days) -> str:
    begins, ends = (_NOW + dt.timedelta(days=each) for each in days)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(begins)
        .next_update(ends)
    )
    for each in revoked:
        serial = each.certificate.serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(begins)
        builder = builder.add_revoked_certificate(entry.build())
    signed = builder.sign(issuer.key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{text} of the zoo")])
