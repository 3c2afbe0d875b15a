"""PostgreSQL: the only importer of psycopg. One file per table family, SQL in sight."""
