"""What is worth knowing of a server's certificates? The only importer of cryptography.

The chain's expiry is that of the chain which was verified: an expired root that a server sends
along beside a good chain is nobody's trouble.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

_DAY_S = 86_400
_MAX_NAMES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """The leaf, and when the first certificate of its chain expires; times are UTC.

    `chain_expires` is None if the chain was not verified. `fingerprint` is SHA-256 in hex.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    serial: str
    fingerprint: str
    key: str
    leaf_begins: datetime
    leaf_expires: datetime
    chain_expires: datetime | None
    presented: int

    def days_left(self, now: datetime, *, chain: bool = False) -> float:
        """Days until the leaf expires, or the first certificate of the verified chain."""
        end = (self.chain_expires or self.leaf_expires) if chain else self.leaf_expires
        return (end - now).total_seconds() / _DAY_S

    def as_facts(self) -> dict[str, Any]:
        """For the facts of a result; the same for as long as the certificate is."""
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "names": list(self.names),
            "serial": self.serial,
            "fingerprint": self.fingerprint,
            "key": self.key,
            "leaf_begins": self.leaf_begins.isoformat(),
            "leaf_expires": self.leaf_expires.isoformat(),
            "chain_expires": self.chain_expires.isoformat() if self.chain_expires else None,
            "presented": self.presented,
        }


def read_certificates(
    presented: Sequence[bytes], verified: Sequence[bytes] = ()
) -> CertificateFacts | None:
    """The facts of a chain in DER, leaf first; None if its leaf cannot be read.

    `verified` is the chain that OpenSSL built up to an authority, empty if it did not.
    """
    try:
        leaf = x509.load_der_x509_certificate(presented[0])
        return CertificateFacts(
            subject=leaf.subject.rfc4514_string(),
            issuer=leaf.issuer.rfc4514_string(),
            names=_names(leaf),
            serial=f"{leaf.serial_number:x}",
            fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
            key=_key(leaf),
            leaf_begins=leaf.not_valid_before_utc,
            leaf_expires=leaf.not_valid_after_utc,
            chain_expires=_first_expiry(verified),
            presented=len(presented),
        )
    except (IndexError, ValueError, x509.InvalidVersion):
        return None


class Authorities:
    """The certificates that a host or a monitor trusts."""

    def __init__(self, certificates: Iterable[bytes]) -> None:
        self._by_subject: dict[bytes, list[x509.Certificate]] = {}
        for der in certificates:
            if (found := _loaded(der)) is not None:
                subject = found.subject.public_bytes()
                self._by_subject.setdefault(subject, []).append(found)

    def chain(self, presented: Sequence[bytes]) -> tuple[bytes, ...]:
        """From the leaf up to an authority, as OpenSSL goes: what is trusted is tried first.

        For a chain that was verified already; empty if it does not end at an authority.
        """
        known = [found for der in presented if (found := _loaded(der)) is not None]
        if not known:
            return ()
        chain = [known[0]]
        while (top := chain[-1]) not in self._trusted(top.subject):
            issuers = (*self._trusted(top.issuer), *known)
            issuer = next((each for each in issuers if _issued(each, top)), None)
            if issuer is None or issuer in chain:
                return ()
            chain.append(issuer)
        return tuple(each.public_bytes(Encoding.DER) for each in chain)

    def _trusted(self, name: x509.Name) -> list[x509.Certificate]:
        return self._by_subject.get(name.public_bytes(), [])


def _loaded(der: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion):
        return None


def _issued(issuer: x509.Certificate, issued: x509.Certificate) -> bool:
    try:
        issued.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _first_expiry(verified: Sequence[bytes]) -> datetime | None:
    ends = []
    for der in verified:
        try:
            ends.append(x509.load_der_x509_certificate(der).not_valid_after_utc)
        except (ValueError, x509.InvalidVersion):
            continue
    return min(ends, default=None)


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    names = (*found.get_values_for_type(x509.DNSName), *found.get_values_for_type(x509.IPAddress))
    return tuple(str(name) for name in names[:_MAX_NAMES])


def _key(leaf: x509.Certificate) -> str:
    try:
        key = leaf.public_key()
    except Exception as error:  # noqa: BLE001 - of a kind that cryptography has no class for
        return type(error).__name__
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey")
