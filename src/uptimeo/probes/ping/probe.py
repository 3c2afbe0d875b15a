"""Does a host answer to ICMP echo requests, how fast, and how many of them does it lose?"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, IPvAnyAddress, field_validator

from uptimeo.probes.base import (
    ErrorType,
    Failure,
    Family,
    Phase,
    Probe,
    ProbeContext,
    ProbeOptions,
    ProbeResult,
    TargetError,
    Timeline,
    fail,
    resolve,
)
from uptimeo.probes.ping.packets import Complaint
from uptimeo.probes.ping.socket import PacketSettings, open_echo_socket
from uptimeo.probes.ping.volley import MOST_STRAYS, TOKEN_BYTES, Volley, VolleyPlan


class PingOptions(ProbeOptions):
    """Whom to ping, how, and how much loss is bearable."""

    url: str = Field(
        min_length=1, max_length=300, description="ping://HOST; HOST is a name or an address."
    )
    count: int = Field(default=3, ge=1, le=100, description="How many requests are sent.")
    interval_ms: int = Field(
        default=200,
        ge=1,
        le=60_000,
        description="Time from one request to the next, whether answered or not.",
    )
    reply_timeout_ms: int | None = Field(
        default=None,
        ge=1,
        le=60_000,
        description="How long replies are awaited after the last request; at most, and by"
        " default, until the timeout of the check.",
    )
    size: int = Field(
        default=56,
        ge=TOKEN_BYTES,
        le=65_507,
        description="Bytes of data in a request; the packet has 28 more with IPv4, 48 with IPv6.",
    )
    ttl: int | None = Field(
        default=None,
        ge=1,
        le=255,
        description="Time to live, or hop limit, of the requests; by default the host's.",
    )
    dont_fragment: bool = Field(
        default=False,
        description="Forbid fragmentation: a path that is too narrow for `size` is a failure.",
    )
    family: Family = Field(
        default=Family.ANY, description="Which kind of address is pinged: v4, v6 or any."
    )
    source: IPvAnyAddress | None = Field(
        default=None, description="An address of the agent's host to ping from."
    )
    max_loss_percent: float = Field(
        default=50,
        ge=0,
        lt=100,
        description="The check fails when more is lost; without any reply it always does.",
    )

    @field_validator("url")
    @classmethod
    def _names_a_host(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("ping", "icmp") or not parts.hostname:
            raise ValueError("the URL must be ping:// and a host")
        if parts.path.strip("/") or parts.query or parts.fragment or ":" in _after_host(url):
            raise ValueError("after ping:// there is a host and nothing else")
        return url

    @property
    def host(self) -> str:
        """The name or address, without brackets."""
        return urlsplit(self.url).hostname or ""


def _after_host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("]")[2]


class PingProbe(Probe[PingOptions]):
    """Some echo requests to one address, through a socket of this check alone.

    The phase `wait`, and with it the total, is the average time of the replies, as in check_ping:
    the pauses between the requests are our own. Without a reply it is how long one was awaited.
    """

    options: ClassVar[type[ProbeOptions]] = PingOptions

    async def probe(self, options: PingOptions, context: ProbeContext) -> ProbeResult:
        """Send, wait, and judge the loss."""
        timeline = Timeline()
        volley: Volley | None = None
        failure: Failure | None = None
        try:
            addresses = await resolve(options.host, context, timeline, options.family)
            _assert_time_enough(options, context)
            settings = _settings(options)
            with open_echo_socket(
                addresses, options.host, settings, options.size, context
            ) as opened:
                timeline.resolved_ip = opened.address.ip
                volley = Volley(opened, _plan(options))
                await volley.run(context.deadline)
            failure = _judge(volley, options)
        except TargetError as error:
            failure = error.failure if error.failure.phase else error.within(Phase.WAIT).failure
        return _result(timeline, volley, failure)


def _settings(options: PingOptions) -> PacketSettings:
    source = None if options.source is None else str(options.source)
    return PacketSettings(ttl=options.ttl, dont_fragment=options.dont_fragment, source=source)


def _plan(options: PingOptions) -> VolleyPlan:
    return VolleyPlan(
        count=options.count,
        interval_ms=options.interval_ms,
        size=options.size,
        reply_timeout_ms=options.reply_timeout_ms,
    )


def _assert_time_enough(options: PingOptions, context: ProbeContext) -> None:
    needed_ms = (options.count - 1) * options.interval_ms
    if needed_ms >= context.timeout_ms:
        text = (
            f"{options.count} requests every {options.interval_ms} ms do not fit into the timeout"
            f" of {context.timeout_ms} ms"
        )
        raise fail(ErrorType.MISCONFIGURED, text)
    if needed_ms >= (left_ms := context.remaining_s() * 1000):
        text = f"the name lookup of {options.host} left {left_ms:.0f} ms for {needed_ms} ms of ping"
        raise fail(ErrorType.TIMEOUT, text, Phase.DNS)


def _judge(volley: Volley, options: PingOptions) -> Failure | None:
    facts, ip = volley.facts(), volley.opened.address.ip
    if volley.flooded:
        text = f"more than {MOST_STRAYS} packets came that answer no request to {ip}"
        return Failure(type=ErrorType.UNEXPECTED, message=text, phase=Phase.WAIT)
    if facts.received and facts.lost_percent <= options.max_loss_percent:
        return None
    text = ""
    if facts.received:
        kind = ErrorType.PACKET_LOSS
        text = (
            f"{facts.sent - facts.received} of {facts.sent} requests to {ip} without a reply:"
            f" {facts.lost_percent:.1f} % lost, at most {options.max_loss_percent:g} % allowed"
        )
    elif volley.complaints:
        kind = _commonest(volley.complaints).type
    else:
        kind = ErrorType.NO_REPLY
        text = f"no reply from {ip} to {facts.sent} requests in {volley.waited_ms:.0f} ms"
    damaged = f"{facts.damaged} replies came back changed" if facts.damaged else ""
    told = filter(None, (text, _reported(volley.complaints, ip), damaged))
    return Failure(type=kind, message="; ".join(told), phase=Phase.WAIT)


def _commonest(complaints: Mapping[int, Complaint]) -> Complaint:
    counts = Counter(each.type for each in complaints.values())
    wanted = counts.most_common(1)[0][0]
    return next(each for each in complaints.values() if each.type == wanted)


def _reported(complaints: Mapping[int, Complaint], ip: str) -> str:
    if not complaints:
        return ""
    common = _commonest(complaints)
    times = f"{len(complaints)} times" if len(complaints) > 1 else "once"
    return f"{common.router} reports of {ip}: {common.text} ({times})"


def _result(timeline: Timeline, volley: Volley | None, failure: Failure | None) -> ProbeResult:
    if volley is None:
        return timeline.result(failure)
    facts = volley.facts()
    average = facts.average_ms
    timeline.add(Phase.WAIT, volley.waited_ms if average is None else average)
    result = timeline.result(failure, facts=facts.as_facts())
    return replace(result, total_ms=result.phases.total())
