"""The tables and functions of the first release."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    # The driver's own cursor: only without parameters may one call hold many statements and a "%".
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    for name in ("0001_config.sql", "0001_heartbeats.sql", "0001_lease.sql"):
        driver.execute((Path(__file__).parent / name).read_text("utf-8"))
