-- Whoever meets a column in psql or a dashboard's editor is told what it is, and its unit.

COMMENT ON TABLE regions IS 'groups of datacenters, for reports';
COMMENT ON COLUMN regions.id IS 'its number';
COMMENT ON COLUMN regions.name IS 'what people call it';
COMMENT ON COLUMN regions.region_code IS 'its short name';
COMMENT ON COLUMN regions.group_name IS 'a group of regions, such as a continent; NULL: none';

COMMENT ON TABLE datacenters IS 'from where it is checked; each has one leader among its agents';
COMMENT ON COLUMN datacenters.id IS 'its number, in every other table, and as agents are told it (DATACENTER_ID)';
COMMENT ON COLUMN datacenters.code IS 'its short name';
COMMENT ON COLUMN datacenters.name IS 'what people call it';
COMMENT ON COLUMN datacenters.region_id IS 'the region it lies in; NULL: none';

COMMENT ON TABLE agents IS 'every agent that ever started, by its name; each makes its own row';
COMMENT ON COLUMN agents.id IS 'its number, in heartbeats';
COMMENT ON COLUMN agents.name IS 'what it calls itself (UPTIMEO_INSTANCE), unique in its datacenter';
COMMENT ON COLUMN agents.datacenter_id IS 'where it runs';

COMMENT ON TABLE schedules IS 'how often, within which time, and when slow is too slow';
COMMENT ON COLUMN schedules.id IS 'its number';
COMMENT ON COLUMN schedules.name IS 'what people call it, unique';
COMMENT ON COLUMN schedules.include_response_body IS 'whether headers and the start of the body of every answer are kept';

COMMENT ON TABLE api_monitors IS 'what is checked; a row that cannot be used is named in monitor_config_errors';
COMMENT ON COLUMN api_monitors.id IS 'its number; its heartbeats keep it when the row is gone';
COMMENT ON COLUMN api_monitors.name IS 'what people call it; need not be unique';
COMMENT ON COLUMN api_monitors.method IS 'the HTTP method; of other types nothing';
COMMENT ON COLUMN api_monitors.type IS 'how it is checked: a name of `uptimeo probe-types`, in any case';
COMMENT ON COLUMN api_monitors.url IS 'the target, in the form that its type has; may hold references to secrets';
COMMENT ON COLUMN api_monitors.schedule_id IS 'how often; NULL: never';
COMMENT ON COLUMN api_monitors.headers IS 'HTTP headers, an object of texts; may hold references to secrets';
COMMENT ON COLUMN api_monitors.body IS 'the body of the request; an object or a list is sent as JSON';
COMMENT ON COLUMN api_monitors.enabled IS 'whether it is checked';

COMMENT ON COLUMN datacenter_monitors.datacenter_id IS 'a datacenter in which it runs';
COMMENT ON COLUMN datacenter_monitors.monitor_id IS 'the monitor';

COMMENT ON COLUMN monitor_config_errors.monitor_id IS 'the monitor, which is not checked';
COMMENT ON COLUMN monitor_config_errors.reason IS 'what is wrong with its row; never repeats the value';
COMMENT ON COLUMN monitor_config_errors.since IS 'when an agent found it, UTC';

COMMENT ON TABLE api_heartbeats IS
    'what each slot of each monitor came to in each datacenter; partitions of a day, UTC';
COMMENT ON COLUMN api_heartbeats.id IS 'ascends with the order of writing; gaps are no loss';
COMMENT ON COLUMN api_heartbeats.monitor_id IS 'the monitor; its row may be gone';
COMMENT ON COLUMN api_heartbeats.datacenter_id IS 'from where it was checked';
COMMENT ON COLUMN api_heartbeats.agent_id IS 'which agent checked';
COMMENT ON COLUMN api_heartbeats.dns_lookup_ms IS 'ms to look up the name; NULL: not reached, or there was none';
COMMENT ON COLUMN api_heartbeats.tcp_connect_ms IS 'ms to connect; NULL: not reached';
COMMENT ON COLUMN api_heartbeats.tls_handshake_ms IS 'ms of the TLS handshake; NULL: not reached, or there was none';
COMMENT ON COLUMN api_heartbeats.send_ms IS 'ms to send the request';
COMMENT ON COLUMN api_heartbeats.wait_ms IS 'ms from the request''s end to the answer''s first byte';
COMMENT ON COLUMN api_heartbeats.transfer_ms IS 'ms from the answer''s first byte to its last';
COMMENT ON COLUMN api_heartbeats.response_size_bytes IS 'bytes of the body, after decompression';
COMMENT ON COLUMN api_heartbeats.response_status_code IS 'what the last hop answered: the status of HTTP, or what its type has';
COMMENT ON COLUMN api_heartbeats.warning_threshold_ms IS 'what was slow at that time; NULL: nothing was';
COMMENT ON COLUMN api_heartbeats.critical_threshold_ms IS 'what was too slow at that time; NULL: nothing was';
COMMENT ON COLUMN api_heartbeats.attempts IS 'tries in this slot; 0: it was not checked, error_type says why';
COMMENT ON COLUMN api_heartbeats.status IS 'up, degraded (slow), critical (too slow), down, or unknown: no word on the target';
COMMENT ON COLUMN api_heartbeats.http_version IS 'the version that was agreed on: 1.1, 2, 3';
COMMENT ON COLUMN api_heartbeats.failed_phase IS 'in which phase it failed';
COMMENT ON COLUMN api_heartbeats.error_type IS 'why it failed, one word; docs/monitors.md has them all';
COMMENT ON COLUMN api_heartbeats.resolved_ip IS 'the address that was connected to';
COMMENT ON COLUMN api_heartbeats.response_content_type IS 'the answer''s header Content-Type';
COMMENT ON COLUMN api_heartbeats.response_server IS 'the answer''s header Server';
COMMENT ON COLUMN api_heartbeats.response_cache_status IS 'the answer''s header X-Cache, else CF-Cache-Status';
COMMENT ON COLUMN api_heartbeats.error_message IS 'why it failed, for people; secrets are redacted';

COMMENT ON COLUMN api_heartbeats_set_aside.id IS 'its number';
COMMENT ON COLUMN api_heartbeats_set_aside.received_at IS 'when it came, UTC';
COMMENT ON COLUMN api_heartbeats_set_aside.datacenter_id IS 'whose agent sent it';
COMMENT ON COLUMN api_heartbeats_set_aside.reason IS 'why it is no heartbeat';
COMMENT ON COLUMN api_heartbeats_set_aside.payload IS 'the row as it was sent';
COMMENT ON COLUMN api_heartbeats_set_aside.digest IS 'of the payload: the same row is kept once';

COMMENT ON TABLE agent_instances IS
    'what each agent that runs, or ran last, says of itself every ten seconds';
COMMENT ON COLUMN agent_instances.agent_id IS 'the agent';
COMMENT ON COLUMN agent_instances.version IS 'its release';
COMMENT ON COLUMN agent_instances.host IS 'the host it runs on, as that calls itself';
COMMENT ON COLUMN agent_instances.pid IS 'its process there';
COMMENT ON COLUMN agent_instances.started_at IS 'when that process started, UTC';
COMMENT ON COLUMN agent_instances.last_seen IS 'when it last said so, UTC';
COMMENT ON COLUMN agent_instances.spool_rows IS 'heartbeats on its disk that PostgreSQL does not have yet';
COMMENT ON COLUMN agent_instances.spool_bytes IS 'bytes that its spool takes on disk';

COMMENT ON TABLE agent_leases IS
    'who may check in each datacenter now; datacenter 0 stands for the upkeep of the whole installation';
COMMENT ON COLUMN agent_leases.term IS 'the term of leadership; each new leader has the next number';
COMMENT ON COLUMN agent_leases.holder IS 'the process that holds it; NULL: it was given back';
COMMENT ON COLUMN agent_leases.holder_name IS 'the agent that holds it';
COMMENT ON COLUMN agent_leases.seq IS 'ascends with each renewal';
COMMENT ON COLUMN agent_leases.expires_at IS 'until when it holds if it is not renewed, UTC';

COMMENT ON TABLE agent_terms IS 'who led when, for ever: a heartbeat names its term';
COMMENT ON COLUMN agent_terms.term IS 'its number in its datacenter';
COMMENT ON COLUMN agent_terms.holder IS 'the process that led';
COMMENT ON COLUMN agent_terms.holder_name IS 'the agent that led';
COMMENT ON COLUMN agent_terms.started_at IS 'when it took the lease, UTC';

COMMENT ON TABLE peer_keys IS
    'with what the agents of a datacenter sign what they tell each other; a row that is deleted is made anew';
COMMENT ON COLUMN peer_keys.datacenter_id IS 'whose agents';
COMMENT ON COLUMN peer_keys.key IS 'a secret: the key of the signature';
COMMENT ON COLUMN peer_keys.made_at IS 'when it was made, UTC';

COMMENT ON COLUMN config_history.id IS 'ascends with the changes';

COMMENT ON COLUMN monitor_duty.monitor_id IS 'the monitor; its row may be gone';
COMMENT ON COLUMN maintenance_windows.id IS 'its number';
COMMENT ON COLUMN maintenance_windows.starts_at IS 'from when on it counts as maintenance, UTC';
COMMENT ON COLUMN maintenance_windows.ends_at IS 'until when, UTC; not included';
COMMENT ON COLUMN maintenance_windows.reason IS 'what people want to read in a report';
COMMENT ON COLUMN heartbeats_5m.monitor_id IS 'the monitor; its row may be gone';
COMMENT ON COLUMN heartbeats_5m.datacenter_id IS 'from where it was checked';
COMMENT ON COLUMN heartbeats_1h.monitor_id IS 'the monitor; its row may be gone';
COMMENT ON COLUMN heartbeats_1h.datacenter_id IS 'from where it was checked';
COMMENT ON COLUMN heartbeats_1d.monitor_id IS 'the monitor; its row may be gone';
COMMENT ON COLUMN heartbeats_1d.datacenter_id IS 'from where it was checked';
COMMENT ON COLUMN rollup_dirty.datacenter_id IS 'whose heartbeats';
COMMENT ON COLUMN rollup_dirty.bucket IS 'when the bucket begins, UTC';
COMMENT ON COLUMN rollup_progress.datacenter_id IS 'whose heartbeats';

COMMENT ON COLUMN push_signals.id IS 'ascends with the order of arrival';
COMMENT ON COLUMN push_signals.monitor_id IS 'the monitor whose token was called';
COMMENT ON COLUMN push_signals.received_at IS 'when the call came, UTC';
COMMENT ON COLUMN push_signals.kind IS 'start, success, fail, or exit with a status';
COMMENT ON COLUMN push_signals.exit_status IS 'the exit status of the job, 0 to 255; NULL: it named none';
COMMENT ON COLUMN push_signals.source IS 'who called';
COMMENT ON COLUMN push_signals.body IS 'the start of what the job sent along';
COMMENT ON COLUMN push_receiving.id IS 'its number';
COMMENT ON COLUMN push_receiving.receiver IS 'which receiver';
COMMENT ON COLUMN push_receiving.began_at IS 'from when on it could, UTC';
COMMENT ON COLUMN push_receiving.seen_at IS 'until when, at least, UTC';

COMMENT ON COLUMN schema_definitions.one_row IS 'always true: there is one row';
COMMENT ON COLUMN schema_definitions.digest IS 'SHA-256 of the texts of the functions, views and rights';
COMMENT ON COLUMN schema_definitions.applied_at IS 'when they were put in force, UTC';
