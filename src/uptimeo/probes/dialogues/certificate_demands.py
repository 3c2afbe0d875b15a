"""Is a certificate, and the connection that it protects, as a monitor wants it? Pure."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field, field_validator

from uptimeo.probes.base import (
    AssertionResult,
    CertificateFacts,
    Pattern,
    PatternTimeoutError,
    TlsFacts,
    occurs,
)

Protocol = Literal["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_RSA = re.compile(r"RSA (\d+)")


class CertificateDemands(BaseModel):
    """What may be demanded of a certificate; nothing by default but that it is valid."""

    min_days: float | None = Field(
        default=None, ge=0, le=36_500, description="The leaf is valid for so many more days."
    )
    min_chain_days: float | None = Field(
        default=None,
        ge=0,
        le=36_500,
        description="Every certificate of the verified chain is valid for so many more days.",
    )
    issuer: Pattern | None = Field(
        default=None, description="This pattern is found in the issuer, such as 'O=Let.s Encrypt'."
    )
    names: tuple[str, ...] = Field(
        default=(), max_length=50, description="The certificate is for these names, as written."
    )
    fingerprints: tuple[str, ...] = Field(
        default=(), max_length=20, description="The SHA-256 fingerprint is one of these, in hex."
    )
    protocols: tuple[Protocol, ...] = Field(
        default=(), max_length=5, description="The protocol is one of these, such as TLSv1.3."
    )
    cipher: Pattern | None = Field(
        default=None, description="This pattern is found in the name of the cipher."
    )
    min_rsa_bits: int | None = Field(
        default=None,
        ge=512,
        le=16_384,
        description="An RSA key has at least so many bits; other kinds of key do not matter.",
    )

    @field_validator("fingerprints")
    @classmethod
    def _hex(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        plain = tuple(each.replace(":", "").lower() for each in given)
        for each in plain:
            if not _FINGERPRINT.fullmatch(each):
                raise ValueError("a SHA-256 fingerprint has 64 hexadecimal digits")
        return plain


def judge_demands(
    demands: CertificateDemands, tls: TlsFacts, now: datetime
) -> list[AssertionResult]:
    """What came of each demand that was made."""
    judged = [*_of_connection(demands, tls)]
    if tls.certificate is None:
        return [*judged, _said(False, "a certificate", "none that can be read")]  # noqa: FBT003
    return [
        *_of_time(demands, tls.certificate, now),
        *_of_identity(demands, tls.certificate),
        *judged,
    ]


def _of_time(
    demands: CertificateDemands, certificate: CertificateFacts, now: datetime
) -> Iterator[AssertionResult]:
    wanted = (
        ("certificate", demands.min_days, certificate.days_left(now)),
        ("certificate chain", demands.min_chain_days, certificate.days_left(now, chain=True)),
    )
    for what, days, left in wanted:
        if days is not None:
            yield AssertionResult(
                ok=left >= days,
                expected=f"a {what} that is valid for at least {days:g} days",
                got=f"one that is valid for {left:.1f} days",
            )


def _of_identity(
    demands: CertificateDemands, certificate: CertificateFacts
) -> Iterator[AssertionResult]:
    if demands.issuer is not None:
        yield _matched("an issuer", demands.issuer, certificate.issuer)
    if demands.names:
        missing = [name for name in demands.names if name not in certificate.names]
        wanted = f"a certificate for {', '.join(demands.names)}"
        got = f"one that is not for {', '.join(missing)}" if missing else "one that is"
        yield _said(not missing, wanted, got)
    if demands.fingerprints:
        known = certificate.fingerprint in demands.fingerprints
        listed = " or ".join(f"{each[:16]}…" for each in demands.fingerprints)
        yield _said(known, f"the fingerprint {listed}", f"{certificate.fingerprint[:16]}…")
    if demands.min_rsa_bits is not None:
        found = _RSA.fullmatch(certificate.key)
        strong = found is None or int(found[1]) >= demands.min_rsa_bits
        yield _said(strong, f"an RSA key of at least {demands.min_rsa_bits} bits", certificate.key)


def _of_connection(demands: CertificateDemands, tls: TlsFacts) -> Iterator[AssertionResult]:
    if demands.protocols:
        spoken = tls.protocol or "none"
        yield _said(spoken in demands.protocols, " or ".join(demands.protocols), spoken)
    if demands.cipher is not None:
        yield _matched("a cipher", demands.cipher, tls.cipher or "none")


def _matched(what: str, pattern: str, text: str) -> AssertionResult:
    try:
        ok, got = occurs(pattern, text), text
    except PatternTimeoutError as error:
        ok, got = False, str(error)
    return _said(ok, f"{what} that matches {pattern!r}", got)


def _said(ok: bool, expected: str, got: str) -> AssertionResult:  # noqa: FBT001 - two words of ours
    return AssertionResult(ok=ok, expected=expected, got=got)
