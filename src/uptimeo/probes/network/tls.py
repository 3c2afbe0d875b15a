"""How does a probe of ours speak TLS? Options, contexts, and what a failed handshake means."""

import asyncio
import ipaddress
import os
import re
import ssl
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, TypeVar
from weakref import WeakKeyDictionary

import certifi
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from uptimeo.domain.result import ErrorType, Phase
from uptimeo.probes.failing import TargetError, fail
from uptimeo.probes.network.presented import Presented

_VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
T = TypeVar("T")
Version = Literal["1.0", "1.1", "1.2", "1.3"]
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_KEPT_CONTEXTS = 256

# OpenSSL's X509_V_ERR_* (x509_vfy.h) by what a person has to do about it.
CERTIFICATE_FAULTS = {
    9: (ErrorType.TLS_NOT_YET_VALID, "is not valid yet"),
    10: (ErrorType.TLS_EXPIRED, "has expired"),
    18: (ErrorType.TLS_SELF_SIGNED, "is signed by itself"),
    23: (ErrorType.TLS_REVOKED, "has been revoked"),
    26: (ErrorType.TLS_PURPOSE, "is not meant for servers"),
    62: (ErrorType.TLS_HOSTNAME, "is not valid for {name}"),
    64: (ErrorType.TLS_HOSTNAME, "is not valid for {name}"),
    66: (ErrorType.TLS_WEAK, "has a key that is too weak"),
    67: (ErrorType.TLS_WEAK, "is signed with a key that is too weak"),
    68: (ErrorType.TLS_WEAK, "is signed with a digest that is too weak"),
}
_REASONS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": ErrorType.TLS_CLIENT_CERTIFICATE,
    "SSLV3_ALERT_BAD_CERTIFICATE": ErrorType.TLS_CLIENT_CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA": ErrorType.TLS_CLIENT_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": ErrorType.TLS_CLIENT_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": ErrorType.TLS_CLIENT_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": ErrorType.TLS_CLIENT_CERTIFICATE,
    "TLSV1_ALERT_PROTOCOL_VERSION": ErrorType.TLS_VERSION,
    "UNSUPPORTED_PROTOCOL": ErrorType.TLS_VERSION,
    "WRONG_SSL_VERSION": ErrorType.TLS_VERSION,
    "DH_KEY_TOO_SMALL": ErrorType.TLS_WEAK,
    "EE_KEY_TOO_SMALL": ErrorType.TLS_WEAK,
}


class TlsOptions(BaseModel):
    """What a monitor may say about TLS, as a nested object of a probe's options."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    verify: bool = Field(
        default=True, description="Whether the certificate has to be trusted, and for this name."
    )
    server_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="The name sent (SNI) and looked for in the certificate, instead of the host.",
    )
    ca_pem: str | None = Field(
        default=None,
        description="The authorities to trust, and no others, in PEM format; without it those that"
        " the agent's host trusts.",
    )
    client_pem: str | None = Field(
        default=None,
        description="The certificate to show, its chain and its key (not encrypted), in PEM"
        " format.",
    )
    crl_pem: str | None = Field(
        default=None,
        description="Revocation lists in PEM format: the leaf must be on none, and its issuer must"
        " have a current one among them.",
    )
    min_version: Version | None = Field(
        default=None, description="The oldest version of TLS to agree to; without it 1.2."
    )
    max_version: Version | None = Field(
        default=None, description="The newest version of TLS to agree to."
    )
    alpn: tuple[str, ...] = Field(
        default=(), description="The protocols to offer, such as `imap`, the preferred one first."
    )

    @field_validator("server_name")
    @classmethod
    def _is_a_name(cls, name: str | None) -> str | None:
        if name is None or _is_address(name):
            return name
        try:
            found = name.encode("idna").decode()  # as the module `ssl` does itself
        except UnicodeError as error:
            raise ValueError("it must be a host name or an address") from error
        if not _NAME.fullmatch(found):
            raise ValueError("it must be a host name or an address")
        return found

    @field_validator("ca_pem")
    @classmethod
    def _readable(cls, pem: str | None) -> str | None:
        if pem is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
            except (ssl.SSLError, TypeError, ValueError) as error:
                raise ValueError("there is no certificate in PEM format in it") from error
        return pem

    @field_validator("crl_pem")
    @classmethod
    def _lists(cls, pem: str | None) -> str | None:
        if pem is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            try:
                _load_lists(context, pem)
            except (ssl.SSLError, OSError, ValueError) as error:
                raise ValueError("there is no revocation list in PEM format in it") from error
            if not context.cert_store_stats()["crl"]:
                raise ValueError("there is no revocation list in PEM format in it")
        return pem

    @field_validator("client_pem")
    @classmethod
    def _usable(cls, pem: str | None) -> str | None:
        if pem is not None:
            try:
                _load_client(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), pem)
            except (ssl.SSLError, OSError, ValueError) as error:
                raise ValueError("it must hold a certificate and its key in PEM format") from error
        return pem

    @model_validator(mode="after")
    def _ordered(self) -> "TlsOptions":
        low, high = self.min_version, self.max_version
        if low is not None and high is not None and low > high:
            raise ValueError(f"min_version {low} is above max_version {high}")
        return self


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def trusted_ca_file() -> str:
    """The bundle of authorities that this host trusts, else the one that we bring."""
    return ssl.get_default_verify_paths().cafile or certifi.where()


class TlsContexts:
    """A context for each set of options: to read the bundle takes longer than a handshake."""

    def __init__(self) -> None:
        self._contexts: dict[TlsOptions, ssl.SSLContext] = {}
        self._presented: WeakKeyDictionary[Any, Presented] = WeakKeyDictionary()
        # One thread, as each has memory of its own; and the megabytes that a check has read there
        # have to be given back before the next one reads.
        self._reader = ThreadPoolExecutor(1, "uptimeo-handshakes")
        self._apart = asyncio.Lock()

    async def apart(self, step: Callable[[], T]) -> T:
        """Do a long step of a handshake in a thread, one of them at a time.

        A cancellation waits for its end: until then nobody else may look at the connection.
        """
        async with self._apart:
            running = asyncio.get_running_loop().run_in_executor(self._reader, step)
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                await asyncio.wait([running])
                running.exception()  # else asyncio complains that nobody asked for it
                raise
            finally:
                # Its error holds this frame by the traceback: a cycle, if the frame held it too.
                del running

    def wrap(
        self, options: TlsOptions, name: str, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> tuple[ssl.SSLObject, Presented]:
        """The client's side of a TLS connection to `name`, and what the server will present."""
        context = self._context(options)
        server_name = options.server_name or name
        wrapped = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
        presented = self._presented[wrapped] = Presented()
        return wrapped, presented

    def prepare(self, options: TlsOptions) -> None:
        """Do what takes 50 ms for options that are new, so that no phase has to wait for it."""
        self._context(options)

    def _context(self, options: TlsOptions) -> ssl.SSLContext:
        if options not in self._contexts:
            if len(self._contexts) >= _KEPT_CONTEXTS:
                del self._contexts[next(iter(self._contexts))]
            self._contexts[options] = _make(options, partial(_note, self._presented))
        return self._contexts[options]


def _make(options: TlsOptions, note: Callable[..., None]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif options.ca_pem is not None:
        context.load_verify_locations(cadata=options.ca_pem)
    else:
        context.load_verify_locations(cafile=trusted_ca_file())
    if options.crl_pem is not None:
        _load_lists(context, options.crl_pem)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    _limit_versions(context, options)
    if options.client_pem is not None:
        _load_client(context, options.client_pem)
    if options.alpn:
        context.set_alpn_protocols(list(options.alpn))
    # The only way in Python to see a chain that was not accepted: there is no verify callback.
    context._msg_callback = note  # type: ignore[attr-defined]  # noqa: SLF001
    return context


def _limit_versions(context: ssl.SSLContext, options: TlsOptions) -> None:
    if options.min_version is not None and options.min_version < "1.2":
        context.set_ciphers("DEFAULT@SECLEVEL=0")  # OpenSSL 3 refuses TLS 1.1 above it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # whoever asks for TLS 1.1 means it
        if options.min_version is not None:
            context.minimum_version = _VERSIONS[options.min_version]
        if options.max_version is not None:
            context.maximum_version = _VERSIONS[options.max_version]


def _load_client(context: ssl.SSLContext, pem: str) -> None:
    with nameless_file(pem) as path:
        context.load_cert_chain(path, password="")


def _load_lists(context: ssl.SSLContext, pem: str) -> None:
    with nameless_file(pem) as path:
        context.load_verify_locations(cafile=path)


@contextmanager
def nameless_file(text: str) -> Iterator[str]:
    """The path of a text on no disk: OpenSSL reads keys and revocation lists from files only."""
    held = os.memfd_create("uptimeo")
    try:
        os.write(held, text.encode())
        yield f"/proc/self/fd/{held}"
    finally:
        os.close(held)


def _note(
    presented: "WeakKeyDictionary[Any, Presented]",
    connection: Any,
    direction: str,
    version: Any,
    _content_type: Any,
    kind: Any,
    message: bytes,
) -> None:
    if direction == "read" and connection in presented:
        presented[connection].message(int(kind), message, tls13=version == _VERSIONS["1.3"])


def kind_of(error: ssl.SSLError) -> ErrorType:
    """What the server, or OpenSSL on our side, has against this connection."""
    return _REASONS.get(error.reason or "", ErrorType.TLS)


def explain(error: ssl.SSLError, name: str, at: str) -> TargetError:
    """The failure that a handshake with the server at that address ended in."""
    if isinstance(error, ssl.SSLCertVerificationError):
        kind, text = CERTIFICATE_FAULTS.get(
            error.verify_code, (ErrorType.TLS_UNTRUSTED, "is not trusted: {reason}")
        )
        shown = text.format(name=name, reason=error.verify_message)
        return fail(kind, f"the certificate of {at} {shown}", Phase.TLS)
    kind = kind_of(error)
    reason = (error.reason or str(error)).replace("_", " ").lower()
    return fail(kind, f"TLS handshake with {at} failed: {reason}", Phase.TLS)
