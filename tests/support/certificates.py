"""Which certificates does a probe meet? Made in memory, valid and otherwise."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key


@dataclass(frozen=True, slots=True)
class Authority:
    """A private CA that issues certificates for servers of tests."""

    ca: trustme.CA

    @classmethod
    def new(cls) -> "Authority":
        """An authority that nobody trusts yet."""
        return cls(trustme.CA())

    @property
    def pem(self) -> str:
        """The CA's certificate, for those who shall trust it."""
        return self.ca.cert_pem.bytes().decode("ascii")

    def leaf(self, *names: str) -> trustme.LeafCert:
        """For the loopback addresses and localhost, or for `names` instead."""
        return self.ca.issue_cert(*(names or ("127.0.0.1", "::1", "localhost")))

    def expired_leaf(self) -> trustme.LeafCert:
        """Valid for the right names, until yesterday."""
        now = datetime.now(UTC)
        return self.ca.issue_cert(
            *("127.0.0.1", "localhost"),
            not_before=now - timedelta(days=30),
            not_after=now - timedelta(days=1),
        )

    def valid(self, *names: str) -> ssl.SSLContext:
        """A server's context with a `leaf`."""
        return _context(self.leaf(*names))

    def expired(self) -> ssl.SSLContext:
        """A server's context with an `expired_leaf`."""
        return _context(self.expired_leaf())

    def not_yet_valid(self) -> ssl.SSLContext:
        """Valid for the right names, from tomorrow."""
        now = datetime.now(UTC)
        return _context(
            self.ca.issue_cert(
                *("127.0.0.1", "localhost"),
                not_before=now + timedelta(days=1),
                not_after=now + timedelta(days=30),
            )
        )

    def revocable(self, *, revoked: bool) -> tuple[ssl.SSLContext, str]:
        """A certificate for the right names, and a revocation list on which it is or is not."""
        leaf = self.ca.issue_cert("127.0.0.1", "localhost")
        authority = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        number = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).serial_number
        now = datetime.now(UTC)
        entry = x509.RevokedCertificateBuilder(number if revoked else number + 1, now).build()
        made = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.subject)
            .last_update(now - timedelta(days=1))
            .next_update(now + timedelta(days=1))
            .add_revoked_certificate(entry)
        )
        key = load_pem_private_key(self.ca.private_key_pem.bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return _context(leaf), made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
