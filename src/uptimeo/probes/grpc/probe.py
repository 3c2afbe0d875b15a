"""Does a gRPC server say that it serves? Probe types `grpc`, `grpcs`: grpc.health.v1, method Check.

A channel of grpcio resolves names itself, connects where it likes, and hides how long each took.
"""

import re
from typing import Any, ClassVar, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, IPvAnyAddress, field_validator, model_validator

from uptimeo import __version__
from uptimeo.probes.answers.concluding import concluded, with_tls
from uptimeo.probes.answers.steady import SteadyFacts
from uptimeo.probes.base import (
    Assertions,
    Endpoint,
    ErrorType,
    Exchange,
    Failure,
    Family,
    Phase,
    Probe,
    ProbeContext,
    ProbeOptions,
    ProbeResult,
    Stream,
    TargetError,
    Timeline,
    TlsOptions,
    fail,
    open_stream,
)
from uptimeo.probes.grpc.health import PATH, Serving, request, serving
from uptimeo.probes.grpc.http2 import Answer, Call, Headers

_MAX_BYTES = 131_072
_KEY = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_OK = 0
# The codes of gRPC that say something better than "unexpected".
_CODES = {
    4: (ErrorType.TIMEOUT, "the server gave the call up: its time was over"),
    5: (ErrorType.NOT_SERVING, "the server knows no such service"),
    7: (ErrorType.AUTHENTICATION, "the server does not permit the call"),
    12: (ErrorType.UNEXPECTED, "the server has no health service (grpc.health.v1)"),
    14: (ErrorType.NOT_SERVING, "the server says that it is unavailable"),
    16: (ErrorType.AUTHENTICATION, "the server asks for credentials"),
}


class GrpcOptions(ProbeOptions):
    """What a monitor may say about a gRPC health check."""

    url: str = Field(
        min_length=1, max_length=2000, description="grpc://host:port, or grpcs:// with TLS."
    )
    service: str = Field(
        default="", max_length=1000, description="The service asked for; empty: the whole server."
    )
    expected: Literal["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"] = Field(
        default="SERVING", description="The serving status that counts as up."
    )
    metadata: dict[str, str] = Field(
        default_factory=dict, max_length=50, description="Metadata sent along, by lower-case name."
    )
    authority: str | None = Field(
        default=None,
        min_length=1,
        max_length=300,
        pattern=r"^[\x21-\x7e]+$",
        description="The :authority sent, instead of host and port.",
    )
    family: Family = Field(
        default=Family.ANY, description="Which addresses of the host to try: v4, v6 or any."
    )
    source: IPvAnyAddress | None = Field(
        default=None, description="The address of the agent's host to connect from."
    )
    tls: TlsOptions | None = Field(default=None, description="TLS options, for grpcs://.")
    assertions: Assertions = Field(
        default=(), description="What else has to hold, such as a latency or days left."
    )

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("grpc", "grpcs") or not parts.hostname or not _port(parts):
            raise ValueError("must have the form grpc://host:port or grpcs://host:port")
        if parts.path.strip("/") or parts.query or parts.username is not None:
            raise ValueError("takes host and port only; a service is named by `service`")
        return url

    @field_validator("metadata")
    @classmethod
    def _metadata(cls, metadata: dict[str, str]) -> dict[str, str]:
        for name, value in metadata.items():
            if not _KEY.fullmatch(name) or name.startswith("grpc-") or name == "te":
                raise ValueError(f"{name[:50]!r} cannot be the name of metadata")
            if not _VALUE.fullmatch(value):
                raise ValueError(f"the value of {name!r} may have printable ASCII only")
        return metadata

    @model_validator(mode="after")
    def _tls_fits_scheme(self) -> "GrpcOptions":
        if self.tls is not None and not self.url.startswith("grpcs:"):
            raise ValueError("tls: needs a URL that begins with grpcs://")
        return self


class GrpcProbe(Probe[GrpcOptions]):
    """Asks the health service once, on a connection of its own."""

    options: ClassVar[type[ProbeOptions]] = GrpcOptions

    def __init__(self) -> None:
        self._steady = SteadyFacts()

    async def probe(self, options: GrpcOptions, context: ProbeContext) -> ProbeResult:
        """Connect and ask; up if the serving status is the expected one."""
        timeline, facts = Timeline(), dict[str, Any]()
        parts = urlsplit(options.url)
        endpoint = Endpoint(
            host=unquote(parts.hostname or ""),
            port=_port(parts),
            family=options.family,
            source=str(options.source) if options.source else None,
        )
        tls, stream = _tls(options), None
        try:
            async with open_stream(endpoint, context, timeline) as stream:
                if tls is not None:
                    await stream.start_tls(tls)
                answer = await _ask(stream, options, context, timeline)
                failure = _judge(answer, options, stream.at, facts)
                result = timeline.result(failure, facts=facts, exchange=_exchange(options, answer))
            result = await concluded(result, options.assertions, stream.at, tls=stream.tls)
        except TargetError as error:
            result = timeline.result(error.failure, facts=facts)
        return with_tls(result, options, stream, self._steady)


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or 0
    except ValueError:
        return 0


def _tls(options: GrpcOptions) -> TlsOptions | None:
    if not options.url.startswith("grpcs:"):
        return None
    return (options.tls or TlsOptions()).model_copy(update={"alpn": ("h2",)})


async def _ask(
    stream: Stream, options: GrpcOptions, context: ProbeContext, timeline: Timeline
) -> Answer:
    if stream.tls is not None and stream.tls.alpn != "h2":
        text = f"{stream.at} did not agree to HTTP/2 in the TLS handshake (ALPN)"
        raise fail(ErrorType.PROTOCOL, text, Phase.TLS)
    call = Call(stream, _MAX_BYTES)
    with timeline.phase(Phase.SEND):
        await call.send(_headers(options, context), request(options.service))
    with timeline.phase(Phase.WAIT):
        return await call.answer()


def _headers(options: GrpcOptions, context: ProbeContext) -> Headers:
    parts = urlsplit(options.url)
    return (
        (":method", "POST"),
        (":scheme", "https" if parts.scheme == "grpcs" else "http"),
        (":path", PATH),
        (":authority", options.authority or parts.netloc),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", f"uptimeo/{__version__}"),
        ("grpc-timeout", f"{max(1, int(context.remaining_s() * 1000))}m"),
        ("grpc-accept-encoding", "identity"),
        *options.metadata.items(),
    )


def _judge(answer: Answer, options: GrpcOptions, at: str, facts: dict[str, Any]) -> Failure | None:
    """What is wrong with the answer, None if nothing; what it says goes into the facts."""
    what = f"service {options.service!r} at {at}" if options.service else f"the server at {at}"
    if answer.value(":status") != "200":
        text = f"HTTP status {answer.value(':status')} from {at}, and gRPC always answers with 200"
        return Failure(type=ErrorType.UNEXPECTED, message=text, phase=Phase.WAIT)
    code = answer.value("grpc-status") or ""
    facts["grpc_status"] = code
    if code != str(_OK):
        return _refused(code, unquote(answer.value("grpc-message") or ""), what)
    try:
        status = serving(answer.body)
    except ValueError as error:
        text = f"{at} sent no health status: {error}"
        return Failure(type=ErrorType.PROTOCOL, message=text, phase=Phase.WAIT)
    facts["serving"] = said = status.name if isinstance(status, Serving) else str(status)
    if said == options.expected:
        return None
    text = f"{what} is {said}, expected {options.expected}"
    return Failure(type=ErrorType.NOT_SERVING, message=text, phase=Phase.WAIT)


def _refused(code: str, message: str, what: str) -> Failure:
    number = int(code) if code.isdecimal() and len(code) < 3 else -1
    kind, meaning = _CODES.get(number, (ErrorType.UNEXPECTED, "the call failed"))
    told = f": {message[:200]}" if message else ""
    text = f"{what}: {meaning} (gRPC status {code[:20] or 'missing'}{told})"
    return Failure(type=kind, message=text, phase=Phase.WAIT)


def _exchange(options: GrpcOptions, answer: Answer) -> Exchange:
    status = answer.value(":status") or ""
    received = (*answer.headers, *answer.trailers)
    return Exchange(
        request_headers=tuple(options.metadata.items()),
        response_headers=tuple(pair for pair in received if not pair[0].startswith(":")),
        status_code=int(status) if status.isdecimal() and len(status) == 3 else None,
        http_version="2",
        size_bytes=len(answer.body),
    )
