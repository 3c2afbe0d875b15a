"""How is a failed transfer told to a person, and as which error type? Pure."""

from errno import ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, EPIPE
from urllib.parse import urlsplit

from uptimeo.domain.result import ErrorType, Failure, Phase
from uptimeo.probes.curl import Fault, Request, Transfer
from uptimeo.probes.marks import Measured

_TIMEOUTS = {
    Phase.DNS: (ErrorType.DNS_TIMEOUT, "no answer to the name lookup of {host}"),
    Phase.CONNECT: (ErrorType.CONNECT_TIMEOUT, "no TCP connection to {at}"),
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
    Fault.TLS: (ErrorType.TLS, "TLS handshake with {at} failed: {text}"),
    Fault.CERTIFICATE_EXPIRED: (ErrorType.TLS_EXPIRED, "the certificate of {at} is out of date"),
    Fault.CERTIFICATE_HOSTNAME: (
        ErrorType.TLS_HOSTNAME,
        "the certificate of {at} is not valid for {host}",
    ),
    Fault.CERTIFICATE_UNTRUSTED: (
        ErrorType.TLS_UNTRUSTED,
        "the certificate of {at} is not trusted: {text}",
    ),
    Fault.SEND: (ErrorType.SEND, "sending the request to {at} failed: {text}"),
    Fault.RECEIVE: (ErrorType.PROTOCOL, "the answer of {at} broke off: {text}"),
    Fault.EMPTY: (ErrorType.EMPTY_RESPONSE, "{at} closed the connection without an answer"),
    Fault.PROTOCOL: (ErrorType.PROTOCOL, "{at} did not answer in HTTP: {text}"),
    Fault.BODY_TOO_LARGE: (
        ErrorType.BODY_TOO_LARGE,
        "the body from {at} is larger than {limit} bytes",
    ),
    Fault.HEADERS_TOO_LARGE: (
        ErrorType.HEADERS_TOO_LARGE,
        "the headers from {at} are larger than 64 KiB or 300 lines",
    ),
    Fault.URL: (ErrorType.INTERNAL, "the URL cannot be requested: {text}"),
    Fault.FORBIDDEN: (ErrorType.ADDRESS_FORBIDDEN, "{text}"),
    Fault.OURS: (ErrorType.RESOURCES, "the agent could not run the check: {text}"),
}


def explain(request: Request, transfer: Transfer, hop: Measured) -> Failure:
    """The failure of a transfer that has an error, in the phase in which it happened."""
    assert transfer.error is not None
    kind, template = _kind(transfer, hop.reached)
    message = template.format(
        host=urlsplit(request.url).hostname,
        at=seen(transfer),
        text=transfer.error.text,
        bytes=transfer.body_bytes,
        limit=request.max_body_bytes,
    )
    if transfer.error.fault is Fault.TIMEOUT:
        message += f" within {request.timeout_ms} ms"
    return Failure(type=kind, message=message, phase=hop.reached)


def seen(transfer: Transfer) -> str:
    """The address that was connected to, or else the addresses that were tried."""
    tried = transfer.tried
    if transfer.marks.connect > 0:
        connected = (f"{transfer.ip}:", f"[{transfer.ip}]:")
        tried = tuple(address for address in tried if address.startswith(connected)) or tried
    return " and ".join(tried) or "the target"


def _kind(transfer: Transfer, reached: Phase) -> tuple[ErrorType, str]:
    error = transfer.error
    assert error is not None
    if error.fault is Fault.TIMEOUT:
        return _TIMEOUTS[reached]
    if error.fault is Fault.CONNECT:
        return _REFUSALS.get(error.errno, _FAULTS[Fault.CONNECT])
    # The errno of a happy-eyeballs attempt may linger: it counts only where a peer could reset.
    resettable = (Fault.RECEIVE, Fault.SEND, Fault.TLS, Fault.EMPTY)
    if error.fault in resettable and error.errno in (ECONNRESET, EPIPE):
        return _REFUSALS[ECONNRESET]
    return _FAULTS[error.fault]
