"""Where does a request's connection go? Names, addresses, and what a monitor says instead."""

import socket
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from uptimeo.probes.base import (
    Address,
    ErrorType,
    Family,
    Phase,
    ProbeContext,
    TargetError,
    Timeline,
    allowed,
    fail,
    literal,
    resolve,
)
from uptimeo.probes.curl import Proxy, Request, Route, host_and_port
from uptimeo.probes.http.options import HttpOptions
from uptimeo.probes.http.proxies import proxy_for

# Of the time that is left, for a lookup that only says where a proxy must not be sent.
_SHARE_OF_JUDGEMENT = 0.25
_Addresses = tuple[tuple[str, int, tuple[str, ...]], ...]


async def routed(
    request: Request,
    options: HttpOptions,
    family: Family,
    context: ProbeContext,
    timeline: Timeline,
) -> Request:
    """The request with its proxy and its route, for which names are looked up.

    Raises TargetError; the lookups are the dns phase of the timeline.
    """
    lookup = _Lookup(options, context, timeline)
    host, port = host_and_port(request.url)
    if "[" in urlsplit(request.url).netloc and literal(host) is None:
        return replace(request, route=Route(dialled=host))  # libcurl says what is wrong with it
    instead = _instead(host, port, options)
    host, port = instead or (host, port)
    proxy = _proxy(request, options)
    if proxy is None:
        dialled, found = host, await lookup.addresses(host, port, family)
    else:
        await _refuse_forbidden(host, proxy, context)
        dialled, found = await _through(proxy, lookup)
        if proxy.scheme == "socks5":
            found += await lookup.allowed(host, port, family)
    lookup_ms = timeline.phases().dns
    way = Route(dialled=dialled, connect_to=instead, addresses=found, lookup_ms=lookup_ms)
    return replace(request, proxy=proxy, route=way)


def _proxy(request: Request, options: HttpOptions) -> Proxy | None:
    try:
        return proxy_for(request.url, options)
    except ValueError as error:
        text = f"the proxy in the environment of the agent cannot be used: {error}"
        raise fail(ErrorType.MISCONFIGURED, text, Phase.CONNECT) from error


async def _through(proxy: Proxy, lookup: "_Lookup") -> tuple[str, _Addresses]:
    host, port = host_and_port(proxy.url)
    try:
        return host, await lookup.addresses(host, port, Family.ANY)
    except TargetError as error:
        if error.failure.type not in (ErrorType.DNS, ErrorType.DNS_TIMEOUT):
            raise
        raise fail(ErrorType.PROXY, f"the proxy: {error.failure.message}", Phase.DNS) from error


def _instead(host: str, port: int, options: HttpOptions) -> tuple[str, int] | None:
    named = f"[{host}]" if ":" in host else host
    given = options.connect_to.get(f"{named}:{port}") or options.connect_to.get(named)
    if given is None:
        return None
    parts = urlsplit(f"//{given}")
    return parts.hostname or "", parts.port or port


class _Lookup:
    """Finds addresses as the monitor says, or else as the datacenter's resolver does."""

    def __init__(self, options: HttpOptions, context: ProbeContext, timeline: Timeline) -> None:
        self._options = options
        self._context = context
        self._timeline = timeline

    async def addresses(self, host: str, port: int, family: Family) -> _Addresses:
        """The addresses of a name; none for a host that is an address itself."""
        given = self._options.resolve.get(host)
        if given is not None:
            ips = (given,) if isinstance(given, str) else given
            return ((host, port, _of_family(host, _listed(ips), family)),)
        if (known := literal(host)) is not None:
            _of_family(host, (known,), family)
            return ()
        found = await resolve(host, self._context, self._timeline, family)
        return ((host, port, tuple(address.ip for address in found)),)

    async def allowed(self, host: str, port: int, family: Family) -> _Addresses:
        """The same, without those that the guard refuses. Raises TargetError if none is left."""
        return tuple(
            (name, at, tuple(each.ip for each in allowed(_listed(ips), name, self._context)))
            for name, at, ips in await self.addresses(host, port, family)
        )


def _listed(ips: Sequence[str]) -> list[Address]:
    return [Address(ip) for ip in ips]


def _of_family(host: str, known: Sequence[Address], family: Family) -> tuple[str, ...]:
    wanted = {Family.V4: socket.AF_INET, Family.V6: socket.AF_INET6}.get(family)
    kept = tuple(each.ip for each in known if wanted in (None, each.family))
    if not kept:
        text = f"{host} has no address of the wanted family {family}"
        raise fail(ErrorType.DNS, text, Phase.DNS)
    return kept


async def _refuse_forbidden(host: str, proxy: Proxy, context: ProbeContext) -> None:
    """A proxy connects where it is told to: what is forbidden is not to be told to it.

    A name is looked up here too, outside of all figures, and one with a forbidden address is not
    told either. What has no address here is the proxy's to find out.
    """
    known = literal(host) or _old_spelling(host)
    if known is not None:
        found: Sequence[Address] = (known,)
    elif proxy.scheme == "socks5" or not context.guard.forbidden:
        return
    else:
        found = await _known_here(host, context)
    for address in found:
        allowed([address], host, context)


async def _known_here(host: str, context: ProbeContext) -> Sequence[Address]:
    try:
        most_s = context.remaining_s() * _SHARE_OF_JUDGEMENT
        return await context.resolver.resolve(host, Family.ANY, most_s)
    except TargetError as error:
        if error.failure.type in (ErrorType.DNS, ErrorType.DNS_TIMEOUT):
            return ()
        raise


def _old_spelling(host: str) -> Address | None:
    """The address of 127.1, 0x7f000001 and the like."""
    try:
        return Address(socket.inet_ntoa(socket.inet_aton(host.rstrip("."))))
    except (OSError, UnicodeError):
        return None
