"""How is a failed transfer told to a person, and as which error type? Pure."""

from errno import ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, EPIPE
from urllib.parse import urlsplit

from uptimeo.domain.result import ErrorType, Failure, Phase
from uptimeo.probes.curl import Fault, Request, Transfer, TransferError, host_and_port
from uptimeo.probes.curl.marks import PROXY
from uptimeo.probes.http.urls import shown
from uptimeo.probes.network.tls import CERTIFICATE_FAULTS

_TIMEOUTS = {
    Phase.DNS: (ErrorType.DNS_TIMEOUT, "no answer to the name lookup of {host}"),
    Phase.CONNECT: (ErrorType.CONNECT_TIMEOUT, "no {transport} connection to {at}"),
    PROXY: (ErrorType.PROXY, "no connection to {host} through {at}"),
    Phase.TLS: (ErrorType.TLS_TIMEOUT, "TLS handshake with {at} not finished"),
    Phase.SEND: (ErrorType.SEND_TIMEOUT, "request to {at} not sent"),
    Phase.WAIT: (ErrorType.FIRST_BYTE_TIMEOUT, "no first byte from {at}"),
    Phase.TRANSFER: (ErrorType.TRANSFER_TIMEOUT, "answer of {at} not complete ({bytes} bytes)"),
}
_REFUSALS = {
    ECONNREFUSED: (ErrorType.CONNECT_REFUSED, "connection refused by {at}"),
    ENETUNREACH: (ErrorType.CONNECT_UNREACHABLE, "no route to the network of {at}"),
    EHOSTUNREACH: (ErrorType.CONNECT_UNREACHABLE, "no route to {at}"),
    ECONNRESET: (ErrorType.CONNECTION_RESET, "connection reset by {at}"),
}
_FAULTS = {
    Fault.RESOLVE: (ErrorType.DNS, "the name {host} cannot be resolved"),
    Fault.CONNECT: (ErrorType.CONNECT, "cannot connect to {at}: {text}"),
    Fault.PROXY: (ErrorType.PROXY, "{at} does not connect to {host}: {text}"),
    Fault.TLS: (ErrorType.TLS, "TLS handshake with {at} failed: {text}"),
    Fault.CERTIFICATE_HOSTNAME: (
        ErrorType.TLS_HOSTNAME,
        "the certificate of {at} is not valid for {name}",
    ),
    Fault.CERTIFICATE: (
        ErrorType.TLS_UNTRUSTED,
        "the certificate of {at} is not trusted: {text}",
    ),
    Fault.SEND: (ErrorType.SEND, "sending the request to {at} failed: {text}"),
    Fault.RECEIVE: (ErrorType.PROTOCOL, "the answer of {at} broke off: {text}"),
    Fault.EMPTY: (ErrorType.EMPTY_RESPONSE, "{at} closed the connection without an answer"),
    Fault.PROTOCOL: (ErrorType.PROTOCOL, "{at} did not answer in HTTP: {text}"),
    Fault.ENCODING: (ErrorType.PROTOCOL, "the answer of {at} cannot be decompressed: {text}"),
    Fault.ENCODED_OTHERWISE: (
        ErrorType.DECOMPRESSION,
        "the answer of {at} is not decompressed: it came {text}",
    ),
    Fault.EXPANDED: (
        ErrorType.DECOMPRESSION,
        "the body from {at} is larger than {limit} bytes when decompressed (from {wire} bytes)",
    ),
    Fault.TOO_WIDE: (
        ErrorType.DECOMPRESSION,
        "the body from {at} is not decompressed: {text}, and at most 2^22 are taken",
    ),
    Fault.BODY_TOO_LARGE: (
        ErrorType.BODY_TOO_LARGE,
        "the body from {at} is larger than {limit} bytes",
    ),
    Fault.CRUMBS: (
        ErrorType.PROTOCOL,
        "the body from {at} comes in more than 1000 pieces of a few bytes",
    ),
    Fault.FLOOD: (
        ErrorType.BODY_TOO_LARGE,
        "{at} sent more than {most} bytes, of which {bytes} are its body",
    ),
    Fault.HEADERS_TOO_LARGE: (
        ErrorType.HEADERS_TOO_LARGE,
        "the headers from {at} are larger than 64 KiB or 300 lines",
    ),
    Fault.URL: (ErrorType.INTERNAL, "the URL cannot be requested: {text}"),
    Fault.FORBIDDEN: (ErrorType.ADDRESS_FORBIDDEN, "{text}"),
    Fault.SOURCE: (ErrorType.MISCONFIGURED, "{text}"),
    Fault.OURS: (ErrorType.RESOURCES, "the agent could not run the check: {text}"),
}
# OpenSSL's words for the alerts and refusals of a handshake that a person can do something about.
_TLS_WORDS = {
    "alert protocol version": ErrorType.TLS_VERSION,
    "unsupported protocol": ErrorType.TLS_VERSION,
    "wrong ssl version": ErrorType.TLS_VERSION,
    "no protocols available": ErrorType.TLS_VERSION,
    "certificate required": ErrorType.TLS_CLIENT_CERTIFICATE,
    "alert bad certificate": ErrorType.TLS_CLIENT_CERTIFICATE,
    "alert unknown ca": ErrorType.TLS_CLIENT_CERTIFICATE,
    "alert certificate": ErrorType.TLS_CLIENT_CERTIFICATE,
    "alert handshake failure": ErrorType.TLS,
    "dh key too small": ErrorType.TLS_WEAK,
    "ee key too small": ErrorType.TLS_WEAK,
}
_BROKEN = (Fault.RECEIVE, Fault.SEND, Fault.TLS, Fault.EMPTY)
# Their answers came from the proxy, or did not come.
_BEFORE_TARGET = (Phase.DNS, Phase.CONNECT, PROXY)
_NOT_THE_PROXYS = (Fault.FORBIDDEN, Fault.SOURCE, Fault.OURS, Fault.URL)


def explain(request: Request, transfer: Transfer, reached: Phase | str) -> Failure:
    """The failure of a transfer that has an error, in the phase in which it happened."""
    error = transfer.error
    assert error is not None
    kind, template = _kind(error, reached)
    host = urlsplit(request.url).hostname
    at = place(request, transfer)
    if request.proxy is not None and reached in _BEFORE_TARGET:
        at = f"the proxy {shown(request.proxy.url)} ({seen(transfer)})"
        if error.fault not in _NOT_THE_PROXYS:
            kind = ErrorType.PROXY
    message = template.format(
        host=host,
        name=request.tls.server_name or host,
        at=at,
        transport="QUIC" if request.http_version == "3" else "TCP",
        text=error.text,
        bytes=transfer.body_bytes,
        wire=transfer.wire_bytes,
        limit=request.max_body_bytes,
        most=request.most_wire_bytes,
    )
    if error.fault is Fault.TIMEOUT:
        message += f" within {request.budget_ms} ms"
    return Failure(type=kind, message=message, phase=reached)


def place(request: Request, transfer: Transfer) -> str:
    """Where an answer came from, for messages."""
    if request.proxy is None:
        return seen(transfer)
    host, port = host_and_port(request.url)
    return f"{host}:{port} through the proxy {seen(transfer)}"


def seen(transfer: Transfer) -> str:
    """The address that was connected to, or else the addresses that were tried."""
    tried = transfer.tried
    if transfer.marks.connect > 0:
        connected = (f"{transfer.ip}:", f"[{transfer.ip}]:")
        tried = tuple(address for address in tried if address.startswith(connected)) or tried
    return " and ".join(tried) or "the target"


def _kind(error: TransferError, reached: Phase | str) -> tuple[ErrorType, str]:
    # The handshake of HTTP/3 is what connects: it fails over what is sent and received.
    unconnected = reached is Phase.CONNECT and error.fault in (Fault.SEND, Fault.RECEIVE)
    match error.fault:
        case Fault.TIMEOUT:
            return _TIMEOUTS[reached]
        case fault if unconnected or (fault is Fault.CONNECT and reached != PROXY):
            return _REFUSALS.get(error.errno, _FAULTS[Fault.CONNECT])
        case Fault.CERTIFICATE if error.verify_code in CERTIFICATE_FAULTS:
            kind, text = CERTIFICATE_FAULTS[error.verify_code]
            return kind, "the certificate of {at} " + text
        case fault if fault in _BROKEN:
            return _broken(error)
        case Fault.CONNECT:
            return _FAULTS[Fault.PROXY]
    return _FAULTS[error.fault]


def _broken(error: TransferError) -> tuple[ErrorType, str]:
    told = error.text.lower()
    for words, kind in _TLS_WORDS.items():
        if words in told:
            return kind, _FAULTS[Fault.TLS][1]
    # The errno of a happy-eyeballs attempt may linger: it counts only where a peer could reset.
    if error.errno in (ECONNRESET, EPIPE):
        return _REFUSALS[ECONNRESET]
    return _FAULTS[error.fault]
