"""What may a row take from its agent's host, and what not?"""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import NOON, VA
from uptimeo.catalog.sealing import KeyRing, add_key
from uptimeo.catalog.values import ValueReader
from uptimeo.domain.errors import FatalError, SealError
from uptimeo.domain.monitor import DatacenterId
from uptimeo.domain.redaction import Redactor, literal_secrets
from uptimeo.domain.references import Reference, Source, Values, references, resolved
from uptimeo.domain.secret import LONGEST, SealedSecret
from uptimeo.domain.text import REDACTED

VALUE = "correct horse"
FILE, ENV, SECRET = Source.FILE, Source.ENV, Source.SECRET


def key_file(directory: Path) -> Path:
    path = directory / "keys"
    add_key(path, NOON)
    return path


def read(reader: ValueReader, source: Source, name: str, *rows: SealedSecret) -> Values:
    return reader.read([Reference(source, name)], rows)


def reason(values: Values) -> str:
    """Why the one reference cannot be resolved."""
    assert not values.known
    return next(iter(values.missing.values()))


def value(values: Values) -> str:
    assert not values.missing
    return next(iter(values.known.values()))


def test_references_are_found_wherever_a_row_has_texts() -> None:
    row = {
        "url": "https://{{env:UPTIMEO_SECRET_HOST}}/{{ file:a/b.txt }}",
        "deep": [{"x": ["Bearer {{secret:api}}"]}, 7, None],
        "{{secret:key}}": "{{mustache}} {{other:x}} {{secret}}",
    }

    assert {str(each) for each in references(row)} == {
        "{{env:UPTIMEO_SECRET_HOST}}",
        "{{file:a/b.txt}}",
        "{{secret:api}}",
    }


def test_what_is_known_is_replaced_and_the_rest_stays() -> None:
    known = {Reference(SECRET, "api"): "{{secret:other}}", Reference(SECRET, "other"): "x"}

    row = resolved({"a": ["-{{ secret:api }}-", "{{env:B}}", 1]}, known)

    assert row == {"a": ["-{{secret:other}}-", "{{env:B}}", 1]}


def test_the_deepest_value_that_json_can_read_is_no_fault() -> None:
    deep = json.loads("[" * 900 + '"{{env:A}}"' + "]" * 900)

    assert references(deep) == frozenset()
    assert resolved(deep, {}) == deep
    assert list(literal_secrets(deep)) == []
    assert REDACTED in json.dumps(Redactor(frozenset({"abcdef"})).value(deep))


@given(st.text())
def test_a_text_without_references_is_as_it_was(text: str) -> None:
    assert resolved(text, {}) == text


def test_a_variable_of_that_beginning_is_read_and_no_other() -> None:
    environment = {"UPTIMEO_SECRET_API": VALUE, "DB_CONN_STRING": VALUE}
    reader = ValueReader(environment=environment)

    assert value(read(reader, ENV, "UPTIMEO_SECRET_API")) == VALUE
    assert reason(read(reader, ENV, "DB_CONN_STRING")) == (
        "is not for rows: only UPTIMEO_SECRET_... is"
    )
    assert reason(read(reader, ENV, "UPTIMEO_SECRETS_DIR")).startswith("is not for rows")
    assert reason(read(reader, ENV, "UPTIMEO_SECRET_B")) == "is not set for the agent"


def test_a_file_is_read_anew_each_time_without_its_last_line_break(tmp_path: Path) -> None:
    reader = ValueReader(directory=tmp_path)
    (tmp_path / "api").write_text(f"{VALUE}\n")
    before = value(read(reader, FILE, "api"))
    (tmp_path / "api").write_text("another value")

    assert (before, value(read(reader, FILE, "api"))) == (VALUE, "another value")


def test_links_within_the_directory_are_followed(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "api").write_text(VALUE)
    (tmp_path / "api").symlink_to(Path("..data") / "api")

    assert value(read(ValueReader(directory=tmp_path), FILE, "api")) == VALUE


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/hostname", "link", "linked/outside", "", ".", "a\x00b", "x" * 5000]
)
def test_nothing_outside_the_directory_can_be_read(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "outside").write_text(VALUE)
    (inside / "link").symlink_to(tmp_path / "outside")
    (inside / "linked").symlink_to(tmp_path)

    why = reason(read(ValueReader(directory=inside), FILE, name))

    assert VALUE not in why
    assert why.startswith(("is not below", "is not a file", "cannot be read"))


def test_without_a_directory_no_file_can_be_read() -> None:
    assert reason(read(ValueReader(), FILE, "/etc/hostname")) == (
        "cannot be read: UPTIMEO_SECRETS_DIR is not set for the agent"
    )


def test_the_files_of_the_agent_itself_are_not_for_rows(tmp_path: Path) -> None:
    keys = key_file(tmp_path)
    os.link(keys, tmp_path / "other-name")
    reader = ValueReader(directory=tmp_path, key_file=keys, private=(keys,))

    assert reason(read(reader, FILE, "keys")) == "is not for rows"
    assert reason(read(reader, FILE, "other-name")) == "is not for rows"


def test_a_pipe_does_not_hold_the_reader_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert reason(read(ValueReader(directory=tmp_path), FILE, "pipe")) == "is not a file"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "has fewer than 6 characters, and could not be redacted from answers"),
        (b"12345\n", "has fewer than 6 characters, and could not be redacted from answers"),
        (b"x" * (LONGEST + 1), f"is longer than {LONGEST} bytes"),
        (b"\xff\xfe\x00abcdef", "is not text in UTF-8"),
    ],
)
def test_what_cannot_be_a_secret_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "f").write_bytes(content)

    assert reason(read(ValueReader(directory=tmp_path), FILE, "f")) == why


def test_a_sealed_secret_is_opened_with_the_key_of_its_id(tmp_path: Path) -> None:
    keys = key_file(tmp_path)
    row = KeyRing.read(keys).seal("api", None, VALUE)
    add_key(keys, NOON)

    assert value(read(ValueReader(key_file=keys), SECRET, "api", row)) == VALUE
    assert VALUE.encode() not in row.ciphertext


def test_a_secret_of_the_datacenter_goes_before_the_one_for_all(tmp_path: Path) -> None:
    ring = KeyRing.read(keys := key_file(tmp_path))
    rows = [ring.seal("api", VA, "for Virginia"), ring.seal("api", None, "for everybody")]

    for order in (rows, rows[::-1]):
        assert value(read(ValueReader(key_file=keys), SECRET, "api", *order)) == "for Virginia"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"datacenter_id": VA},
        {"datacenter_id": DatacenterId(2)},
        {"nonce": bytes(12)},
        {"nonce": b""},
        {"ciphertext": b""},
        {"key_id": "gone"},
    ],
)
def test_a_row_that_was_changed_cannot_be_opened(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    ring = KeyRing.read(key_file(tmp_path))
    sealed = ring.seal("api", None, VALUE)
    fields = {name: getattr(sealed, name) for name in SealedSecret.__slots__}

    with pytest.raises(SealError) as caught:
        ring.open(SealedSecret(**fields | changes))

    assert VALUE not in str(caught.value)


def test_without_a_row_or_a_key_there_is_no_value(tmp_path: Path) -> None:
    row = KeyRing.read(key_file(tmp_path)).seal("api", None, VALUE)

    assert reason(read(ValueReader(), SECRET, "b")).startswith("is not there")
    assert reason(read(ValueReader(), SECRET, "api", row)) == (
        "cannot be opened: UPTIMEO_KEY_FILE is not set for the agent"
    )


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    keys = key_file(tmp_path)
    assert keys.stat().st_mode & 0o077 == 0
    for mode in (0o640, 0o604, 0o620, 0o602):
        keys.chmod(mode)

        with pytest.raises(FatalError, match=f"mode {mode:04o}"):
            KeyRing.read(keys)


@pytest.mark.parametrize("line", ["", "# nothing", "k1", "k1 c2hvcnQ=", "k1 !!!", "k 1 2"])
def test_a_key_file_without_a_key_is_refused_and_its_content_not_repeated(
    tmp_path: Path, line: str
) -> None:
    keys = tmp_path / "keys"
    keys.touch(0o600)
    keys.write_text(f"{line}\n")

    with pytest.raises(FatalError, match="UPTIMEO_KEY_FILE") as caught:
        KeyRing.read(keys)

    assert "c2hvcnQ" not in str(caught.value)


def test_an_id_may_stand_in_a_key_file_once(tmp_path: Path) -> None:
    keys = key_file(tmp_path)
    keys.write_text(keys.read_text() * 2)

    with pytest.raises(FatalError, match="line 2"):
        KeyRing.read(keys)
