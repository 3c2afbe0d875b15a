"""What may be probed on demand, and how? The modules that the operator wrote down.

[http_2xx]
type = "https"
timeout_ms = 5000

[http_2xx.options]
follow_redirects = false
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from uptimeo.catalog.rows import to_monitor
from uptimeo.domain.errors import FatalError
from uptimeo.domain.monitor import Monitor
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.storage.monitors import MonitorRow

# A target names a command or a job there, and a scraper is not to choose among these.
NEVER = frozenset({"exec", "push"})
LONGEST_MS = 10_000
# Long enough for no timeout to be cut by it; nothing is repeated.
_INTERVAL_S = 3600


class Module(BaseModel):
    """How targets are probed that are asked for by this name: as the columns of a monitor say."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: Annotated[str, Field(min_length=1, max_length=10), AfterValidator(str.lower)]
    timeout_ms: int = Field(default=LONGEST_MS, ge=1, le=LONGEST_MS)
    method: str = "GET"
    headers: dict[str, str] | None = None
    body: Any = None
    options: dict[str, Any] = Field(default_factory=dict)

    def monitor(self, name: str, target: str, registry: ProbeRegistry) -> Monitor:
        """The monitor of a target; without a scheme, the type is one.

        Raises InvalidMonitorError for what the type does not take; it repeats no value.
        """
        row = MonitorRow(
            id=0,
            name=name,
            type=self.type,
            method=self.method,
            url=target if "://" in target else f"{self.type}://{target}",
            headers=self.headers,
            body=self.body,
            options=self.options,
            enabled=True,
            timeout_ms=self.timeout_ms,
            schedule=None,
            interval_s=_INTERVAL_S,
            warning_ms=None,
            critical_ms=None,
            keep_body=False,
        )
        return to_monitor(row, registry)


def read_modules(path: Path, registry: ProbeRegistry) -> Mapping[str, Module]:
    """All modules by name. Raises FatalError that names the file and what is wrong in it."""
    try:
        found = TypeAdapter(dict[str, Module]).validate_python(tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FatalError(f"UPTIMEO_PROBE_FILE: {path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise FatalError(f"UPTIMEO_PROBE_FILE: {path}: {where}: {first['msg']}") from error
    for name, module in found.items():
        if module.type in NEVER or registry.get(module.type) is None:
            text = f"{path}: {name}: the type {module.type!r} cannot be probed on demand"
            raise FatalError(f"UPTIMEO_PROBE_FILE: {text}")
    return found
