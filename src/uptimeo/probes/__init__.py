"""A due check becomes a result. Each probe type is one file; none knows the database."""
