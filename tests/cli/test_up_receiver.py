"""Does `uptimeo up` say where jobs signal, or that they cannot?"""

import socket
from contextlib import ExitStack, suppress

import pytest

from uptimeo.cli.up_receiver import listening
from uptimeo.domain.errors import FatalError

ANY = {"UPTIMEO_RECEIVE_ADDRESS": "127.0.0.1:0"}


def test_where_jobs_signal_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as closing:
        found = listening(ANY, closing.enter_context, alone=True)
        assert found is not None
        port = found.getsockname()[1]

    assert f"Jobs signal at http://127.0.0.1:{port}/ping/TOKEN: " in capsys.readouterr().err


def test_a_proxy_before_it_is_told_instead(capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as closing:
        given = ANY | {"UPTIMEO_RECEIVE_URL": "https://ping.example/"}
        listening(given, closing.enter_context, alone=True)

    assert "Jobs signal at https://ping.example/ping/TOKEN: " in capsys.readouterr().err


def test_a_usual_address_that_is_taken_is_told_and_no_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ExitStack() as closing:
        with suppress(OSError):  # somebody else has it: as good
            closing.enter_context(socket.create_server(("127.0.0.1", 8025)))
        found = listening({}, closing.enter_context, alone=True)

    assert found is None
    said = capsys.readouterr().err
    assert said.startswith("Jobs cannot signal here (set it to another host:port): UPTIMEO_RECEIVE")
    assert "127.0.0.1:8025 cannot be listened on: " in said
    assert said.count("\n") == 1


def test_a_named_address_that_is_taken_is_an_error() -> None:
    with ExitStack() as closing, socket.create_server(("127.0.0.1", 0)) as taken:
        given = {"UPTIMEO_RECEIVE_ADDRESS": f"127.0.0.1:{taken.getsockname()[1]}"}
        with pytest.raises(FatalError, match="cannot be listened on"):
            listening(given, closing.enter_context, alone=True)


def test_beside_another_database_it_has_to_be_asked_for() -> None:
    with ExitStack() as closing:
        assert listening({}, closing.enter_context, alone=False) is None
        assert listening(ANY, closing.enter_context, alone=False) is not None
