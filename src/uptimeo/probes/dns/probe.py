"""Does a DNS server answer a question, how fast, and with the records that it should?"""

import asyncio
import secrets
from dataclasses import replace
from typing import Any, ClassVar

from uptimeo.probes.answers.steady import SteadyFacts
from uptimeo.probes.base import (
    ErrorType,
    Failure,
    Probe,
    ProbeContext,
    ProbeOptions,
    ProbeResult,
    TargetError,
    Timeline,
    fail,
    one_line,
)
from uptimeo.probes.dns.judgement import judge_answer
from uptimeo.probes.dns.messages import Query, is_older
from uptimeo.probes.dns.options import DnsOptions
from uptimeo.probes.dns.transport import Asked, Server, ask, own_servers

_SHOWN_ANSWERS = 20
_SHOWN_TEXT = 200


class DnsProbe(Probe[DnsOptions]):
    """One query. Its time is `wait`, which with UDP ends when the kernel has the answer.

    The servers of `same_serial_at` are asked at the same time afterwards, in the phase `serials`.
    """

    options: ClassVar[type[ProbeOptions]] = DnsOptions

    def __init__(self) -> None:
        self._steady = SteadyFacts()

    async def probe(self, options: DnsOptions, context: ProbeContext) -> ProbeResult:
        """Ask, and judge the answer."""
        timeline = Timeline()
        asked: Asked | None = None
        failure: Failure | None = None
        try:
            asked = await ask(_query(options, context), _first_server(options), context, timeline)
            failure = await _judge(options, asked)
            if failure is None and options.same_serial_at:
                with timeline.phase("serials"):
                    await _compare_serials(options, asked, context)
        except TargetError as error:
            failure = error.failure
        facts = {} if asked is None else _facts(asked)
        news = self._steady.news(options, facts, everything=failure is not None)
        result = timeline.result(failure, facts=news)
        return replace(result, total_ms=result.phases.total())


def _query(options: DnsOptions, context: ProbeContext) -> Query:
    return Query(options.question, secrets.randbelow(65_536), context.limits.dns_records)


def _first_server(options: DnsOptions) -> Server:
    server = options.server()
    if server.host:
        return server
    own = own_servers()
    if not own:
        text = "this host names no DNS server in resolv.conf, and the URL does not either"
        raise fail(ErrorType.MISCONFIGURED, text)
    return replace(server, host=own[0], trusted=True)


async def _judge(options: DnsOptions, asked: Asked) -> Failure | None:
    """In a thread where a pattern may take its time."""
    if options.matches is None and options.not_matches is None:
        return judge_answer(options.question, options.expectations, asked.answer, asked.at)
    return await asyncio.to_thread(
        judge_answer, options.question, options.expectations, asked.answer, asked.at
    )


async def _compare_serials(options: DnsOptions, asked: Asked, context: ProbeContext) -> None:
    """Raises TargetError for the first server that has another serial."""
    found = await asyncio.gather(
        *(
            ask(_query(options, context), options.server(other), context, Timeline())
            for other in options.same_serial_at
        ),
        return_exceptions=True,
    )
    serial = asked.answer.serial
    for other in found:
        if isinstance(other, BaseException):
            raise other
        theirs = other.answer.serial
        if theirs is None or serial is None:
            raise fail(ErrorType.UNEXPECTED, f"{other.at} has no SOA record of that name")
        if theirs != serial:
            behind = other.at if is_older(theirs, serial) else asked.at
            text = (
                f"{asked.at} has the serial {serial}, {other.at} has {theirs}: {behind} is behind"
            )
            raise fail(ErrorType.UNEXPECTED, text)


def _facts(asked: Asked) -> dict[str, Any]:
    """What is kept when it changes, or when the check fails. The order of records is no change."""
    answer = asked.answer
    texts = sorted(one_line(each.text, _SHOWN_TEXT) for each in answer.records)
    facts: dict[str, Any] = {
        "dns": {
            "server": asked.at,
            "transport": asked.transport,
            "rcode": answer.rcode,
            "flags": answer.flags,
        },
        "answers": texts[:_SHOWN_ANSWERS],
    }
    if len(texts) > _SHOWN_ANSWERS:
        facts["answer_count"] = len(texts)
    if answer.serial is not None:
        facts["serial"] = answer.serial
    if answer.errors:
        facts["dns_errors"] = list(answer.errors)
    return facts
