"""Which certificates does a probe meet? Made in memory, valid and otherwise."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import trustme


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

    def valid(self, *names: str) -> ssl.SSLContext:
        """For the loopback addresses and localhost, or for `names` instead."""
        return _context(self.ca.issue_cert(*(names or ("127.0.0.1", "::1", "localhost"))))

    def expired(self) -> ssl.SSLContext:
        """Valid for the right names, until yesterday."""
        now = datetime.now(UTC)
        return _context(
            self.ca.issue_cert(
                *("127.0.0.1", "localhost"),
                not_before=now - timedelta(days=30),
                not_after=now - timedelta(days=1),
            )
        )

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


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
