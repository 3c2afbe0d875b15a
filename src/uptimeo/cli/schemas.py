"""What may be said to a probe type, in words? Made of the JSON schema of its options. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from uptimeo.probes.base import ProbeOptions

# The columns of `api_monitors` that go to a probe; every other option is in the column `options`.
COLUMNS = ("url", "method", "headers", "body")
_REF = "#/$defs/"
_WORDS = {
    "string": "text",
    "integer": "integer",
    "number": "number",
}
_FORMATS = {"regex": "pattern", "password": "secret text", "ipvanyaddress": "IP address"}

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionWords:
    """One option: `kind` is its type with its limits; `default` None is JSON's null, or none.

    `objects` are the kinds of object that it is, or holds, by their names in the schema.
    """

    name: str
    column: str
    kind: str
    required: bool
    default: Any
    about: str
    objects: tuple[str, ...]

    @property
    def default_text(self) -> str:
        """The default as it would be written; empty if there is none."""
        if self.required or self.default is None:
            return ""
        return self.default if isinstance(self.default, str) else json.dumps(self.default)


def schema_of(options: type[ProbeOptions]) -> dict[str, Any]:
    """The JSON schema that a monitor's options have to follow, by the names that a row has."""
    return options.model_json_schema(by_alias=True, mode="validation")


def options_of(schema: Schema) -> list[OptionWords]:
    """The options of a probe type: first the columns of the row, then the others as declared."""
    found = list(_fields(schema, schema.get("$defs", {})))
    columns = [each for name in COLUMNS for each in found if each.name == name]
    return columns + [each for each in found if each.name not in COLUMNS]


def fields_of(schema: Schema, name: str) -> list[OptionWords]:
    """The fields of an object in the schema, such as `TlsOptions`: the required ones first.

    The field that only tells its kind is left out.
    """
    defs = schema["$defs"]
    properties = defs[name]["properties"]
    found = [each for each in _fields(defs[name], defs) if "const" not in properties[each.name]]
    return sorted(found, key=lambda each: not each.required)


def kind_of(schema: Schema, name: str) -> str | None:
    """The `kind` by which an object of that name is told from others; None if it has none."""
    const = schema["$defs"][name].get("properties", {}).get("kind", {}).get("const")
    return None if const is None else str(const)


def about(schema: Schema, name: str) -> str:
    """What an object is, in a paragraph."""
    return _paragraph(schema["$defs"][name].get("description", ""))


def _fields(of: Schema, defs: Schema) -> Iterator[OptionWords]:
    required = of.get("required", ())
    for name, field in of.get("properties", {}).items():
        yield OptionWords(
            name=name,
            column=name if name in COLUMNS else "options",
            kind=_kind(field, defs),
            required=name in required,
            default=_default(field, defs),
            about=_paragraph(field.get("description", "")),
            objects=tuple(dict.fromkeys(_objects(field, defs))),
        )


def _kind(field: Schema, defs: Schema) -> str:
    """The type of a field with its limits; that it may also be null goes without saying."""
    return _one_of(list(dict.fromkeys(_alternatives(field, defs))))


def _alternatives(field: Schema, defs: Schema) -> Iterator[str]:
    """What may stand there: values, or words for them."""
    if "$ref" in field:
        found = defs.get(field["$ref"].removeprefix(_REF), {})
        yield from ["object"] if "properties" in found else _alternatives(found, defs)
    elif "anyOf" in field or "oneOf" in field:
        for each in (*field.get("anyOf", ()), *field.get("oneOf", ())):
            yield from _alternatives(each, defs)
    elif "enum" in field:
        yield from map(_shown, field["enum"])
    elif field.get("type") == "boolean":
        yield from ("true", "false")
    elif field.get("type") != "null":
        yield _plain(field, defs)


def _plain(field: Schema, defs: Schema) -> str:
    match field.get("type"):
        case "array":
            return f"list of {_many(field.get('items', {}), defs)}{_limits(field)}"
        case "object":
            values = field.get("additionalProperties")
            if isinstance(values, Mapping) and "$ref" not in values:
                return f"{_many(values, defs)} by name"
            return "object"
        case str() as known:
            word = _FORMATS.get(field.get("format", ""), _WORDS.get(known, known))
            return word + _bounds(field)
        case _:
            return "any JSON"


def _objects(field: Schema, defs: Schema) -> Iterator[str]:
    """The objects with fields of their own, wherever in the field they are."""
    name = field.get("$ref", "").removeprefix(_REF)
    if "properties" in defs.get(name, {}):
        yield name
    for each in (*field.get("anyOf", ()), *field.get("oneOf", ()), field.get("items")):
        if isinstance(each, Mapping):
            yield from _objects(each, defs)


def _default(field: Schema, defs: Schema) -> Any:
    """What an option is if it is left out; of an object what differs from its own defaults."""
    if "default" not in field:
        return {} if field.get("type") == "object" else None
    default = field["default"]
    if not isinstance(default, Mapping):
        return default
    own = defs.get(next(_objects(field, defs), ""), {}).get("properties", {})
    return {
        key: value for key, value in default.items() if own.get(key, {}).get("default") != value
    }


def _limits(field: Schema) -> str:
    """How long a list may be; how long a text may be says little, and is in the schema."""
    return f", at most {field['maxItems']}" if "maxItems" in field else ""


def _bounds(field: Schema) -> str:
    step = 1 if field["type"] == "integer" else None
    low = _bound(field, "minimum", "exclusiveMinimum", "above", step)
    high = _bound(field, "maximum", "exclusiveMaximum", "below", step and -step)
    if low and high:
        return f", {low} to {high}"
    return f", at least {low}" if low else f", at most {high}" if high else ""


def _bound(field: Schema, included: str, excluded: str, word: str, step: int | None) -> str:
    """A bound in words; one that an integer does not reach is said as the one next to it."""
    if included in field:
        return _number(field[included])
    if excluded not in field:
        return ""
    return _number(field[excluded] + step) if step else f"{word} {_number(field[excluded])}"


def _many(field: Schema, defs: Schema) -> str:
    kind = _kind(field, defs)
    return {"object": "objects", "text": "texts"}.get(kind, kind)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _shown(value: Any) -> str:
    """A value that may be given; in quotes where it would be taken for a number."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f'"{text}"' if isinstance(value, str) and text[:1].isdecimal() else text


def _one_of(kinds: list[str]) -> str:
    return ", ".join(kinds[:-1]) + " or " + kinds[-1] if len(kinds) > 1 else "".join(kinds)


def _paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())
