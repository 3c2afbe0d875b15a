"""What do the tests of several probes share? A network of our own."""

from collections.abc import Iterator

import pytest

from tests.support import wires
from tests.support.wires import Wire, wire


@pytest.fixture(scope="module")
def way() -> Iterator[Wire]:
    if (why := wires.missing()) is not None:
        pytest.skip(why)
    with wire() as made:
        yield made
