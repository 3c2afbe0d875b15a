"""Has a job signalled in time that it ran? Probe type `push`, the dead man's switch.

Nothing is asked of the job: it calls the URL of its token, `uptimeo receive` keeps the call, and
each check looks at what was kept.
"""

import asyncio
from datetime import datetime
from typing import Any, ClassVar

from uptimeo.domain.errors import TransientError
from uptimeo.domain.result import our_fault
from uptimeo.domain.signal import SignalState
from uptimeo.probes.base import (
    ErrorType,
    Exchange,
    Probe,
    ProbeContext,
    ProbeOptions,
    ProbeResult,
)
from uptimeo.probes.push.options import PushOptions
from uptimeo.probes.push.verdict import PushVerdict, judge_push


class PushProbe(Probe[PushOptions]):
    """The total is how long the job's last run took, if it told its start; there are no phases."""

    options: ClassVar[type[ProbeOptions]] = PushOptions

    async def probe(self, options: PushOptions, context: ProbeContext) -> ProbeResult:
        """Read what was signalled; unknown while it cannot be read."""
        if context.signals is None:
            text = f"{options.url}: signals are in the database, and only an agent reads them"
            return our_fault(ErrorType.UNSUPPORTED, text)
        try:
            async with asyncio.timeout_at(context.deadline):
                state = await context.signals.read(options.token_sha256)
        except (TransientError, TimeoutError) as error:
            text = f"{options.url}: its signals cannot be read: {error or 'the time was over'}"
            return our_fault(ErrorType.UNHEARD, text)
        if state is None:
            text = f"{options.url}: the database has no monitor with this token any more"
            return our_fault(ErrorType.MISCONFIGURED, text)
        return _result(state, judge_push(options, state))


def _result(state: SignalState, verdict: PushVerdict) -> ProbeResult:
    end = state.last_end
    body = "" if end is None else end.body
    return ProbeResult(
        total_ms=None if end is None else end.run_ms,
        failure=verdict.failure,
        facts=_facts(state, verdict),
        exchange=Exchange(body_start=body.encode(), size_bytes=len(body)) if body else None,
    )


def _facts(state: SignalState, verdict: PushVerdict) -> dict[str, Any]:
    end, running = state.last_end, state.running
    known = {
        "last_signal": None if end is None else end.kind.value,
        "last_signal_at": None if end is None else _iso(end.at),
        "since_last_s": None if end is None else (state.now - end.at).total_seconds(),
        "exit_status": None if end is None else end.exit_status,
        "running_since": None if running is None else _iso(running.at),
        "due": _iso(verdict.due),
        "late": _iso(verdict.late),
    }
    return {key: value for key, value in known.items() if value is not None}


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
