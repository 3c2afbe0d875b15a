"""The process faults in short form. Times may be three times as long; counts may not be off."""

import pytest

from tests.faults import faults_database, faults_flush, faults_process
from tests.faults.report import Fault, Scale

_TIME_SLACK = 3.0
_LONG = {"F8b"}  # it waits for three takeovers: only in the suite
_FAULTS = [
    fault
    for fault in (*faults_process.FAULTS, *faults_database.FAULTS, *faults_flush.FAULTS)
    if fault.id not in _LONG
]


# LocalServer gives its child to a thread of ours that only waits meanwhile.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("fault", _FAULTS, ids=lambda fault: fault.id)
async def test_the_figures_of_the_fault_are_as_demanded(fault: Fault) -> None:
    outcome = await fault.run(Scale.SHORT)

    assert outcome.failures(_TIME_SLACK) == []
