"""The loop that keeps asking for the lease, and tells the agent what came of it."""

import asyncio
import random
from contextlib import suppress
from typing import Protocol
from uuid import UUID

from uptimeo.clock import ServerClock, boottime
from uptimeo.domain.errors import TransientError
from uptimeo.domain.heartbeat import Origin
from uptimeo.domain.lease import LeaseAnswer, LeaseRequest
from uptimeo.domain.monitor import DatacenterId
from uptimeo.domain.peer import Word
from uptimeo.leader.elector import Change, Elector, Standing
from uptimeo.leader.news import LeaseNews, Tell

_JITTER = 0.1


class LeaseStore(Protocol):
    """The lease row of one datacenter, or of the whole installation."""

    async def ask(self, request: LeaseRequest, timeout_s: float) -> LeaseAnswer:
        """Renew, take or see the lease.

        Raises TransientError when there was no answer in time: the outcome is unknown.
        """

    async def release(self, candidate: UUID, term: int, timeout_s: float) -> None:
        """Give the lease back if it is still ours, and wake the standbys."""

    async def wait_for_release(self, timeout_s: float) -> None:
        """Return early when another agent gave the lease back; otherwise after the timeout.

        Raises TransientError when the session ended: what was seen of the row counts no more.
        """


class Election:
    """Keeps one agent's candidacy alive and sets the clock by each answer."""

    def __init__(
        self,
        *,
        datacenter: DatacenterId,
        agent_id: int,
        elector: Elector,
        store: LeaseStore,
        clock: ServerClock,
        tell: Tell,
    ) -> None:
        self._datacenter = datacenter
        self._elector = elector
        self._store = store
        self._clock = clock
        self._agent_id = agent_id
        self._tell_people = tell
        self._error: TransientError | None = None
        self._changed = asyncio.Event()

    def permit(self) -> Origin | None:
        """The leadership under which a check may start now, or None."""
        elector = self._elector
        if elector.term is None or not elector.may_start(boottime()):
            return None
        return Origin(
            datacenter_id=self._datacenter,
            agent_id=self._agent_id,
            term=elector.term,
            holder=str(elector.candidate),
        )

    def term(self) -> int | None:
        """The term that this agent holds, as far as it knows."""
        return self._elector.term

    def newest_term(self) -> int:
        """The last term that this agent knows of, whoever holds it; 0 before it knows of any."""
        return self._elector.newest_term

    def answered_ago_s(self) -> float | None:
        """How long ago the database answered last; None if it never has."""
        return self._elector.answered_ago_s(boottime())

    def standing(self) -> Standing | None:
        """The term that this agent holds, as far as it knows."""
        return self._elector.standing(boottime())

    async def changed(self, timeout_s: float) -> None:
        """Return when the term or its confirmation changes, at the latest after the timeout."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()

    def word(self) -> Word:
        """What to tell the other agents of the datacenter."""
        return self._elector.word(boottime())

    def asking_peers(self, others: int) -> None:
        """So many other agents are asked now."""
        self._elector.asking_peers(boottime(), others)

    def hear(self, speaker: UUID, asked_at: float, word: Word) -> None:
        """Take in what another agent said when it was asked at `asked_at`, by `boottime`."""
        before = self._elector.term
        change = self._elector.heard(speaker, asked_at, boottime(), word)
        self._tell(change, None, before, self._error)

    async def run(self) -> None:
        """Ask for ever: about every `renew` seconds as leader, every `poll` as standby."""
        while True:
            try:
                await self._ask()
                await self._pause()
            except TransientError as error:
                self._error = error
                before = self._elector.term
                self._tell(self._elector.unreachable(boottime()), None, before, error)
                await asyncio.sleep(self._delay())

    async def stop(self) -> bool:
        """Give the lease back, so that a standby leads within milliseconds; whether it is free."""
        term, candidate = self._elector.term, self._elector.candidate
        if term is None:
            return True
        self._elector.released()
        try:
            await self._store.release(candidate, term, timeout_s=0.4)
        except TransientError as error:
            self._tell_people(LeaseNews(change=Change.RELEASED, term=term, error=error))
            return False
        self._tell_people(LeaseNews(change=Change.RELEASED, term=term))
        return True

    async def _ask(self) -> None:
        await self._free_what_was_given_up()
        asked_at, before = boottime(), self._elector.term
        request = self._elector.request(asked_at)
        answer = await self._store.ask(request, timeout_s=self._elector.timing.call)
        self._clock.anchor(answer.server_now, answer.sent_at, answer.received_at)
        # From `asked_at`, before connecting: a deadline may come too early, never too late.
        self._tell(self._elector.answered(asked_at, boottime(), answer), answer, before, None)

    async def _free_what_was_given_up(self) -> None:
        """Another agent gave its lease up and cannot tell the database itself."""
        if (given_up := self._elector.take_given_up()) is not None:
            timeout_s = self._elector.timing.call
            await self._store.release(given_up.candidate, given_up.term, timeout_s)
            self._tell_people(LeaseNews(change=Change.FREED, term=given_up.term))

    async def _pause(self) -> None:
        if self._elector.term is None:
            await self._store.wait_for_release(self._delay())
        else:
            await asyncio.sleep(self._delay())

    def _delay(self) -> float:
        jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
        return self._elector.next_delay(boottime(), jitter)

    def _tell(
        self,
        change: Change,
        answer: LeaseAnswer | None,
        before: int | None,
        error: TransientError | None,
    ) -> None:
        """Tell what changed: every cycle decides one thing, and only changes are news."""
        if change is not Change.NONE or before != self._elector.term:
            self._changed.set()
        if change is Change.NONE:
            return
        # Of a term that begins, or is another's, the answer knows.
        known = change in (Change.ACQUIRED, Change.STANDBY) and answer is not None
        self._tell_people(
            LeaseNews(
                change=change,
                term=answer.term if known and answer is not None else before,
                holder=None if answer is None else answer.holder,
                error=error,
            )
        )
