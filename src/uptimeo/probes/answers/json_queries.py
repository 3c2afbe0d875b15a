"""What does a JSON document hold at a path, and does it follow a schema? One door for both.

Neither asks the network: a schema cannot refer to another one elsewhere. Patterns inside a schema
are limited in time as all others; a path has no function that takes a pattern.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonpath
import jsonschema
import referencing
from jsonschema.protocols import Validator

from uptimeo.probes.answers.matching import occurs

MAX_FOUND = 1000


class JsonError(Exception):
    """A document, a path or a schema that is none; the message says why."""


def parse_json(body: bytes) -> Any:
    """The document. Raises JsonError."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise JsonError(f"no JSON: {error}") from error


def checked_path(path: str) -> str:
    """The path, if it is one by RFC 9535; ValueError says what is wrong with it."""
    try:
        _environment().compile(path)
    except (jsonpath.JSONPathError, RecursionError) as error:
        raise ValueError(f"{path!r} is not a JSONPath: {error}") from error
    return path


def find(path: str, document: Any) -> list[Any]:
    """The values at the path in order, at most `MAX_FOUND`. Raises JsonError."""
    found = []
    try:
        for match in _environment().finditer(path, document):
            found.append(match.obj)
            if len(found) >= MAX_FOUND:
                break
    except (jsonpath.JSONPathError, RecursionError) as error:
        raise JsonError(f"the path {path} cannot be followed: {error}") from error
    return found


def checked_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, if it is one; ValueError says what is wrong with it."""
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"it is not a JSON Schema: {error.message[:200]}") from error
    return schema


def violation(schema: Mapping[str, Any], document: Any) -> str | None:
    """The most telling reason why the document does not follow the schema; None if it does.

    Raises JsonError if the schema refers to what is not in it.
    """
    kind = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    limited = jsonschema.validators.extend(  # type: ignore[no-untyped-call]  # its stubs say so
        kind, {"pattern": _pattern, "patternProperties": _pattern_properties}
    )
    # A registry of our own, for the default one fetches what it does not know.
    validator: Validator = limited(schema, registry=referencing.Registry())
    try:
        worst = jsonschema.exceptions.best_match(validator.iter_errors(document))
    except (referencing.exceptions.Unresolvable, RecursionError) as error:
        raise JsonError(f"the schema cannot be followed: {error}") from error
    return None if worst is None else f"{worst.json_path}: {worst.message}"


def _pattern(
    _validator: Validator, pattern: str, instance: Any, _schema: Any
) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, str) and not occurs(pattern, instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, _schema: Any
) -> Iterator[jsonschema.ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, schema in patterns.items():
        for key, value in instance.items():
            if occurs(pattern, key):
                yield from validator.descend(value, schema, path=key, schema_path=pattern)


def _environment() -> jsonpath.JSONPathEnvironment:
    environment = jsonpath.JSONPathEnvironment(strict=True)
    for name in ("match", "search"):
        environment.function_extensions.pop(name, None)
    return environment
