"""Do the phases of any transfer add up, whatever marks libcurl reports?"""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from uptimeo.domain.result import Phase, Phases, ProbeResult
from uptimeo.probes.curl.marks import Lateness, Marks, measure

NAMES = (
    "queue",
    "namelookup",
    "connect",
    "appconnect",
    "pretransfer",
    "posttransfer",
    "starttransfer",
    "total",
)
ORDER = tuple(Phase)[1:]
ENDED_BY = {
    "namelookup": Phase.DNS,
    "connect": Phase.CONNECT,
    "appconnect": Phase.TLS,
    "pretransfer": Phase.SEND,
    "posttransfer": Phase.SEND,
    "starttransfer": Phase.WAIT,
}
MICROSECONDS = st.integers(min_value=0, max_value=10**8)
ANY_MARKS = st.builds(Marks, **dict.fromkeys(NAMES, MICROSECONDS))
GAPS = st.lists(st.integers(min_value=1, max_value=10**7), min_size=8, max_size=8)


def made(**us: int) -> Marks:
    """Marks without a lateness."""
    return Marks(**us)  # type: ignore[arg-type]  # all the names are those of numbers


def growing(gaps: list[int], reached: int = len(NAMES) - 1) -> Marks:
    """Marks in their order; those from number `reached` on were missed, except the total."""
    sums = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    values = {
        name: value if number < reached else 0
        for number, (name, value) in enumerate(zip(NAMES, sums, strict=True))
    }
    return made(**(values | {"total": sums[-1]}))


@given(marks=ANY_MARKS, tls=st.booleans(), literal=st.booleans())
def test_no_phase_is_ever_negative(marks: Marks, tls: bool, literal: bool) -> None:
    measured = measure(marks, tls=tls, literal=literal)

    assert all(value >= 0 for _, value in measured.phases.measured())


@given(marks=ANY_MARKS, tls=st.booleans(), literal=st.booleans())
def test_phases_and_the_rest_make_the_total(marks: Marks, tls: bool, literal: bool) -> None:
    measured = measure(marks, tls=tls, literal=literal)

    result = ProbeResult(total_ms=measured.total_ms, phases=measured.phases)
    assert measured.total_ms == marks.total / 1000
    assert result.other_ms is not None
    assert abs(result.phases.total() + result.other_ms - measured.total_ms) < 1e-6


@given(gaps=GAPS, reached=st.integers(1, 7))
def test_the_rest_is_our_queue_and_what_libcurl_does_before_it_sends(
    gaps: list[int], reached: int
) -> None:
    marks = growing(gaps, reached)

    measured = measure(marks, tls=True, literal=False)

    before_sending = marks.pretransfer - marks.appconnect if marks.pretransfer else 0
    rest = measured.total_ms - measured.phases.total()
    assert abs(rest - (marks.queue + before_sending) / 1000) < 1e-6


@given(gaps=GAPS, missed=st.sampled_from(NAMES[1:-1]), tls=st.booleans(), literal=st.booleans())
def test_the_transfer_ends_at_the_first_mark_missed(
    gaps: list[int], missed: str, tls: bool, literal: bool
) -> None:
    marks = replace(growing(gaps), **{missed: 0})  # type: ignore[arg-type]

    measured = measure(marks, tls=tls, literal=literal)

    assert measured.reached is (
        Phase.TRANSFER if missed == "appconnect" and not tls else ENDED_BY[missed]
    )


@given(marks=ANY_MARKS, tls=st.booleans(), literal=st.booleans())
def test_no_phase_follows_the_one_in_which_the_transfer_ended(
    marks: Marks, tls: bool, literal: bool
) -> None:
    measured = measure(marks, tls=tls, literal=literal)

    present = [phase for phase, _ in measured.phases.measured()]
    assert present == sorted(present, key=ORDER.index)
    assert present[-1] is measured.reached
    assert (measured.ttfb_ms is not None) == (measured.reached is Phase.TRANSFER)


@given(gaps=GAPS, tls=st.booleans(), literal=st.booleans())
def test_a_whole_transfer_has_every_phase_that_applies(
    gaps: list[int], tls: bool, literal: bool
) -> None:
    measured = measure(growing(gaps), tls=tls, literal=literal)

    not_applicable = {Phase.DNS} if literal else set()
    not_applicable |= set() if tls else {Phase.TLS}
    assert {phase for phase, _ in measured.phases.measured()} == set(ORDER) - not_applicable


@given(gaps=GAPS, literal=st.booleans())
def test_what_libcurl_invents_after_a_failed_handshake_is_ignored(
    gaps: list[int], literal: bool
) -> None:
    reached = growing(gaps, reached=3)
    invented = dict.fromkeys(("pretransfer", "posttransfer", "starttransfer"), reached.total)
    marks = made(
        queue=reached.queue,
        namelookup=reached.namelookup,
        connect=reached.connect,
        appconnect=0,
        total=reached.total,
        **invented,
    )

    measured = measure(marks, tls=True, literal=literal)

    assert measured.reached is Phase.TLS
    assert measured.phases.tls == (marks.total - marks.connect) / 1000
    assert (measured.phases.send, measured.phases.wait, measured.phases.transfer) == (None,) * 3


def test_a_transfer_that_reached_nothing_ended_in_its_first_phase() -> None:
    nothing = made(**dict.fromkeys(NAMES, 0) | {"total": 1500})

    assert measure(nothing, tls=False, literal=False).phases == Phases(dns=1.5)


def test_an_answer_that_begins_while_the_request_is_sent_has_not_been_waited_for() -> None:
    marks = Marks(
        queue=10,
        namelookup=20,
        connect=120,
        appconnect=0,
        pretransfer=150,
        posttransfer=900,
        starttransfer=500,
        total=1000,
    )

    phases = measure(marks, tls=False, literal=True).phases

    assert phases == Phases(connect=0.1, send=0.35, wait=0.0, transfer=0.5)


def test_our_own_lateness_is_in_no_phase_and_not_in_the_total() -> None:
    marks = Marks(
        queue=0,
        namelookup=1000,
        connect=10_000,
        appconnect=31_000,
        pretransfer=31_000,
        posttransfer=31_000,
        starttransfer=51_000,
        total=62_000,
        late=Lateness(connect=4000, tls=6000, first=3000, last=1000),
    )

    measured = measure(marks, tls=True, literal=True)

    assert measured.phases.connect == 5.0
    assert measured.phases.tls == 15.0
    assert measured.phases.wait == 17.0
    assert measured.phases.transfer == 13.0  # the rest was on its way while we did not look
    assert measured.ttfb_ms == 38.0
    assert measured.total_ms == 51.0


@given(ANY_MARKS, st.tuples(*[st.integers(0, 10**7)] * 4))
def test_no_lateness_makes_a_phase_negative_or_the_sum_more_than_the_total(
    given_marks: Marks, us: tuple[int, int, int, int]
) -> None:
    late = Lateness(connect=us[0], tls=us[1], first=us[2], last=us[3])
    measured = measure(replace(given_marks, late=late), tls=True, literal=True)

    assert all(ms >= 0 for _, ms in measured.phases.measured())
    assert measured.phases.total() <= measured.total_ms + 0.01
    assert measured.ttfb_ms is None or 0 <= measured.ttfb_ms <= measured.total_ms + 0.01
