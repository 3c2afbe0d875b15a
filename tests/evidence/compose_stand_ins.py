"""What stands in for public images, where no registry can be reached? Built on local ones.

`localhost/python-base` (Debian with Python) and `localhost/postgres-base` (PostgreSQL 18 that takes
POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB, and runs as the user postgres) have to be there.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.evidence.compose_project import BrokenRunError
from tests.support.programs import find

POSTGRES = "localhost/uptimeo-stand-in-postgres"
PROMETHEUS = "localhost/uptimeo-stand-in-prometheus"
# What the public image does besides: a password from a file, a data directory of one's choice.
_ENTRYPOINT = """#!/bin/bash
set -e
install -d -o postgres -m 700 "$PGDATA"
export POSTGRES_PASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" HOME=/tmp LANG=C.UTF-8
exec setpriv --reuid=postgres --regid=postgres --clear-groups /entrypoint "$@"
"""
_POSTGRES = r"""FROM localhost/postgres-base
USER root
RUN rm -r /var/lib/postgresql/data \
 && ln -s /var/lib/uptimeo-postgres/data /var/lib/postgresql/data \
 && ln -s "$(dirname "$(readlink /usr/local/bin/pg_isready)")/psql" /usr/local/bin/psql
COPY --chmod=755 public /public
ENTRYPOINT ["/public"]
"""
_PROMETHEUS = """FROM localhost/python-base
COPY --chmod=755 prometheus /bin/prometheus
RUN mkdir /prometheus && chown 65534:65534 /prometheus
USER 65534
ENTRYPOINT ["/bin/prometheus"]
"""


def built(arguments: str) -> dict[str, str]:
    """The variables of docker-compose.yml that name them; without Prometheus if none is here."""
    _build(POSTGRES, _POSTGRES, arguments, public=_ENTRYPOINT.encode())
    variables = {"PYTHON_IMAGE": "localhost/python-base", "POSTGRES_IMAGE": POSTGRES}
    if (program := find("prometheus")) is not None:
        _build(PROMETHEUS, _PROMETHEUS, arguments, prometheus=Path(program).read_bytes())
        variables["PROMETHEUS_IMAGE"] = PROMETHEUS
    return variables


def _build(image: str, dockerfile: str, arguments: str, **files: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="uptimeo-stand-in-") as directory:
        for name, content in {"Dockerfile": dockerfile.encode(), **files}.items():
            Path(directory, name).write_bytes(content)
        command = ["podman", "build", *arguments.split(), "--tag", image, directory]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise BrokenRunError(f"{image} cannot be built: {done.stderr[-2000:]}")


def are_here() -> bool:
    """Whether they can be built."""
    if shutil.which("podman") is None:
        return False
    names = ("localhost/python-base", "localhost/postgres-base")
    return all(
        subprocess.run(["podman", "image", "exists", name], check=False).returncode == 0
        for name in names
    )
