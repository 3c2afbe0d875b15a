"""Leadership that SQL can read, instances that report, changes that announce themselves."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    for name in ("0002_leadership.sql", "0002_changes.sql"):
        driver.execute((Path(__file__).parent / name).read_text("utf-8"))
