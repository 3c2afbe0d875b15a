"""What may a monitor say? `docs/monitors.md`, of the code and of the prose beside this file.

`python -m tests.docs.monitors` writes the page anew. In the prose, a line in double braces is
replaced: `{{options http}}`, `{{object TlsOptions of http}}`, `{{kinds assertions of http}}`,
`{{errors names tls: http_status}}`, `{{all errors}}`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.docs.error_classes import GROUPS
from uptimeo.cli.schemas import (
    OptionWords,
    Schema,
    about,
    fields_of,
    kind_of,
    options_of,
    schema_of,
)
from uptimeo.probes.base import ProbeOptions
from uptimeo.probes.registry import ProbeRegistry

PAGE = Path(__file__).parents[2] / "docs" / "monitors.md"
PAGES = Path(__file__).parent / "pages"
ORDER = (
    "start",
    "http",
    "tcp",
    "tls",
    "mail",
    "dns",
    "ping",
    "grpc",
    "websocket",
    "sql",
    "push",
    "exec",
    "shared",
)
_DIRECTIVE = re.compile(r"^\{\{(\w+) (.+)\}\}$", re.MULTILINE)
# Objects that several types have are described once.
_ELSEWHERE = {
    "TlsOptions": "[object](#options-of-tls)",
    "StatusAssertion": "list of [assertions](#assertions), at most 20",
}


def page() -> str:
    """The whole page."""
    registry = ProbeRegistry.installed()
    schemas = {name: schema_of(_options(registry, name)) for name in registry.names()}
    texts = [(PAGES / f"{name}.md").read_text("utf-8") for name in ORDER]
    return _DIRECTIVE.sub(lambda found: _expanded(found[1], found[2], schemas), "\n".join(texts))


def error_words(text: str) -> dict[str, list[str]]:
    """The words of each `errors` line, by the type that the options before it are of."""
    found: dict[str, list[str]] = {}
    kind = ""
    for directive in _DIRECTIVE.finditer(text):
        if directive[1] == "options":
            kind = directive[2]
        if directive[1] == "errors":
            found[kind] = directive[2].replace(":", " ").split()
    return found


def _options(registry: ProbeRegistry, name: str) -> type[ProbeOptions]:
    probe = registry.get(name)
    assert probe is not None
    return probe.options


def _expanded(word: str, rest: str, schemas: Mapping[str, Schema]) -> str:
    match word:
        case "options":
            return _table(options_of(schemas[rest]))
        case "object":
            name, _, kind = rest.partition(" of ")
            return _table(fields_of(schemas[kind], name))
        case "kinds":
            option, _, kind = rest.partition(" of ")
            return "\n\n".join(_kinds(schemas[kind], option))
        case "errors":
            return _errors(rest)
        case _:
            return "\n\n".join(_all_errors())


def _table(options: Sequence[OptionWords]) -> str:
    rows = ["| option | type | default | meaning |", "| --- | --- | --- | --- |"]
    for each in options:
        where = ", column" if each.column != "options" else ""
        kind = _ELSEWHERE.get(next(iter(each.objects), ""), each.kind)
        default = "required" if each.required else _code(each.default_text)
        rows.append(f"| `{each.name}` | {kind}{where} | {default} | {_cell(each.about)} |")
    return "\n".join(rows)


def _kinds(schema: Schema, option: str) -> Iterator[str]:
    """A table for each kind of object that the option takes."""
    wanted = next(each for each in options_of(schema) if each.name == option)
    for name in wanted.objects:
        yield f'**`"kind": "{kind_of(schema, name)}"`** {about(schema, name)}'
        yield _table([each for each in fields_of(schema, name) if each.name != "negate"])


def _errors(rest: str) -> str:
    groups, _, single = rest.partition(":")
    own = [f"`{name}`" for name in single.split()]
    links = [f"[{word}](#{GROUPS[word].anchor})" for word in groups.split()]
    shared = f"those of {', '.join(links)}" if len(links) > 1 else f"those of {links[0]}"
    return f"Error classes: {', '.join([*own, shared])}."


def _all_errors() -> Iterator[str]:
    for group in GROUPS.values():
        yield f"### {group.title}"
        rows = ["| error class | meaning |", "| --- | --- |"]
        rows += [f"| `{each.value}` | {text} |" for each, text in group.meanings.items()]
        yield "\n".join(rows)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
