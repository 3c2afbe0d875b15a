"""Does a PostgreSQL that is watched give the value that is expected? Types `sql`, `postgresql`."""
