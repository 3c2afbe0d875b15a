"""UptimeO watches endpoints from many datacenters and keeps what it saw in PostgreSQL.

The packages, in the order in which a check passes through them: `catalog` (config rows become
monitors), `schedule` (monitors become due checks), `probes` (a due check becomes a result),
`heartbeats` (a result becomes a stored heartbeat), `storage` (PostgreSQL), `leader` (which agent
of a datacenter may do all this). `agent` joins them; `cli` is the command.
"""

__version__ = "0.1.0"
