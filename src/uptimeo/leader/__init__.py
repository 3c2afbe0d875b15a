"""Which agent of a datacenter may run checks, and what only that one does."""
