"""Do the rules of the lease hold over weeks of accidents, and does the simulation see breaches?

The simulation is the one of the unit tests, with the real `Elector`; here it has many more seeds.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from tests.faults.report import Fault, Figure, Outcome, Scale
from tests.unit import test_simulation as simulation
from uptimeo.leader.elector import LeaseTiming, OfflineMode

_FIRST_SEED = 1_000_000  # none that the unit tests have run
_SHORT_SEEDS, _FULL_S = 50, 240.0
_PLANTED_SEEDS = 500
_ENOUGH = {Scale.FULL: _PLANTED_SEEDS, Scale.SHORT: 1}

_going_on = partial(simulation.Simulation, offline=OfflineMode.CONTINUE)

World = Callable[[int], simulation.Simulation]
_WORLDS: Mapping[str, World] = {
    "usual": simulation.Simulation,
    "clocks 10 % apart": partial(simulation.Simulation, rate_error=0.05),
    "many accidents": partial(simulation.Simulation, faults_every_s=1.0),
    "slow network": partial(simulation.Simulation, faults_every_s=8.0, slow_share=0.3),
    "lease of 6 s": partial(simulation.Simulation, rate_error=0.05, timing=LeaseTiming.of(6.0)),
    "going on offline": _going_on,
    "going on offline, slow network": partial(_going_on, slow_share=0.4),
    "going on offline, many accidents": partial(_going_on, rate_error=0.05, faults_every_s=1.0),
}
_PLANTED: Mapping[str, World] = {
    "steals what has expired": partial(
        simulation.Simulation, elector=simulation.StealsWhatHasExpired
    ),
    "counts stillness from the request": partial(
        simulation.Simulation, elector=simulation.CountsFromTheRequest, rate_error=0.05
    ),
    "counts trust from the answer": partial(
        simulation.Simulation, elector=simulation.TrustsFromTheAnswer
    ),
    "keeps what it lost": partial(simulation.Simulation, elector=simulation.KeepsWhatItLost),
    "has no margin": partial(
        simulation.Simulation, timing=simulation.UncheckedTiming(margin=0.0), rate_error=0.05
    ),
    "hears nobody": partial(_going_on, elector=simulation.HearsNobody),
    "breaks its promise": partial(_going_on, elector=simulation.PromisesNothing, slow_share=0.4),
    "forgets that it gave up": partial(_going_on, elector=simulation.ForgetsThatItGaveUp),
    "begins beside a rival": partial(
        _going_on, elector=simulation.BeginsBesideARival, slow_share=0.6
    ),
}


@dataclass(slots=True)
class _Tally:
    runs: int = 0
    terms: int = 0
    violations: list[str] = field(default_factory=list)


async def _run(scale: Scale) -> Outcome:
    tally = await asyncio.to_thread(_simulate, scale)
    caught = await asyncio.to_thread(_catch, _ENOUGH[scale])
    seen = sum(n > 0 for n in caught.values())
    hours = tally.runs * simulation.SECONDS / 3600
    return Outcome(
        runs=tally.runs,
        figures=(
            Figure("violations", len(tally.violations), at_most=0),
            Figure("simulated", round(hours, 1), "hours"),
            Figure("terms", tally.terms, at_least=tally.runs),
            Figure("planted bugs caught", seen, at_least=len(_PLANTED)),
        ),
        notes=(*tally.violations[:5], *_counts(caught, scale)),
    )


def _simulate(scale: Scale) -> _Tally:
    """Each seed in a world of another kind, until the seeds or the time are used up."""
    tally, worlds, began = _Tally(), list(_WORLDS.items()), time.monotonic()
    while _go_on(scale, tally.runs, time.monotonic() - began):
        seed = _FIRST_SEED + tally.runs
        name, world = worlds[seed % len(worlds)]
        report = world(seed).run()
        tally.runs += 1
        tally.terms += report.takeovers
        if report.overlap is not None:
            at, leading = report.overlap
            tally.violations.append(f"seed {seed}, {name}: {leading} lead at {at:.2f} s")
    return tally


def _counts(caught: Mapping[str, int], scale: Scale) -> list[str]:
    """How visible each bug is; a short run stops at the first seed that sees it."""
    if scale is Scale.SHORT:
        return []
    return [f"a bug that {name}: seen by {n} of {_PLANTED_SEEDS}" for name, n in caught.items()]


def _go_on(scale: Scale, runs: int, lasted_s: float) -> bool:
    return runs < _SHORT_SEEDS if scale is Scale.SHORT else lasted_s < _FULL_S


def _catch(enough: int) -> Mapping[str, int]:
    """How many seeds see each planted bug; counting ends with `enough` of them."""
    caught = dict.fromkeys(_PLANTED, 0)
    for name, world in _PLANTED.items():
        for seed in range(_PLANTED_SEEDS):
            caught[name] += world(seed).run().overlap is not None
            if caught[name] >= enough:
                break
    return caught


FAULTS = (
    Fault(
        id="F24",
        title="simulated accidents of three agents with the real elector",
        demanded="violations 0; each of nine planted bugs is seen",
        run=_run,
    ),
)
