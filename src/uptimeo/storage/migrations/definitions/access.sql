-- Who may do what. Applied after the functions and views, when there are roles: `uptimeo db roles`
-- makes them, and their names stand in the braces. What is not given here is refused, so every
-- function is either in this file, or a trigger's, or named as internal in tests/storage/test_roles.py.

-- What an earlier release gave and this one may not.
DO $$
DECLARE
    groups CONSTANT oid[] := ARRAY(
        SELECT r.oid FROM pg_roles r JOIN database_roles d ON d.role_name = r.rolname
        WHERE d.kind <> 'agent');
    names CONSTANT text := (
        SELECT string_agg(quote_ident(role_name), ', ') FROM database_roles WHERE kind <> 'agent');
    given text;
BEGIN
    FOR given IN
        SELECT 'TABLE ' || c.oid::regclass FROM pg_class c
        WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
          AND (EXISTS (SELECT FROM aclexplode(c.relacl) WHERE grantee = ANY (groups))
               OR EXISTS (SELECT FROM pg_attribute a, aclexplode(a.attacl)
                          WHERE a.attrelid = c.oid AND grantee = ANY (groups)))
        UNION ALL
        SELECT 'FUNCTION ' || p.oid::regprocedure FROM pg_proc p
        WHERE p.pronamespace = quote_ident(current_schema())::regnamespace
          AND EXISTS (SELECT FROM aclexplode(p.proacl) WHERE grantee = ANY (groups))
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', given, names);
    END LOOP;
END $$;

-- What every program reads before it begins.
GRANT SELECT ON alembic_version, schema_definitions, datacenters
TO {agents}, {config}, {readonly}, {receivers};

-- Agents: nothing is written but through functions, which know the datacenter of the role.
GRANT EXECUTE ON FUNCTION
    agent_datacenter, agent_register, agent_report, agent_forget, agent_peers, peer_key,
    lease_ask, lease_release,
    heartbeats_ingest, heartbeat_set_aside, latest_slots,
    datacenter_monitor_ids, config_errors_note, push_monitor, push_newest,
    partition_coverage, partition_days_ahead, partitions_ensure, partition_drop_expired,
    history_expire, retention_held, rollup_step, rollup_waiting, monitor_duty_reconcile, unusual_heartbeats_since
TO {agents};
GRANT SELECT ON api_monitors, schedules, datacenter_monitors, secrets, push_receiving,
    partition_plans
TO {agents};
-- Who leads, for `uptimeo doctor`; not by which id, which is as good as the lease.
GRANT SELECT (datacenter_id, term, holder_name, expires_at) ON agent_leases TO {agents};

-- Of the configuration, an agent sees what is its own. Others see what they were granted.
ALTER TABLE api_monitors ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS everybody ON api_monitors;
CREATE POLICY everybody ON api_monitors USING (true);
DROP POLICY IF EXISTS own_datacenter ON api_monitors;
CREATE POLICY own_datacenter ON api_monitors AS RESTRICTIVE TO {agents}
    USING (id IN (SELECT datacenter_monitor_ids(agent_datacenter())));

ALTER TABLE schedules ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS everybody ON schedules;
CREATE POLICY everybody ON schedules USING (true);
DROP POLICY IF EXISTS own_datacenter ON schedules;
CREATE POLICY own_datacenter ON schedules AS RESTRICTIVE TO {agents}
    USING (id IN (SELECT schedule_id FROM api_monitors));

ALTER TABLE datacenter_monitors ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS everybody ON datacenter_monitors;
CREATE POLICY everybody ON datacenter_monitors USING (true);
DROP POLICY IF EXISTS own_datacenter ON datacenter_monitors;
CREATE POLICY own_datacenter ON datacenter_monitors AS RESTRICTIVE TO {agents}
    USING (datacenter_id = (SELECT agent_datacenter()));

ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS everybody ON secrets;
CREATE POLICY everybody ON secrets USING (true);
DROP POLICY IF EXISTS own_datacenter ON secrets;
CREATE POLICY own_datacenter ON secrets AS RESTRICTIVE TO {agents}
    USING ((SELECT agent_datacenter()) IS NOT NULL
           AND (datacenter_id IS NULL OR datacenter_id = (SELECT agent_datacenter())));

-- Receivers of signals.
GRANT EXECUTE ON FUNCTION push_receive, push_attend TO {receivers};

-- Readers: all that was seen and how it came about, but nothing in which a secret may stand.
GRANT SELECT ON
    regions, agents, schedules, datacenter_monitors, monitor_config_errors, maintenance_windows,
    api_heartbeats, heartbeat_evidence, heartbeats_5m, heartbeats_1h, heartbeats_1d,
    monitor_duty, rollup_progress, rollup_dirty, agent_leases, agent_terms, agent_instances,
    push_receiving, partition_plans, monitor_facts,
    partition_state, agent_states, leadership, leadership_overlaps, monitors, monitor_states, monitor_hours,
    monitor_days, failures, target_changes, set_aside_heartbeats, unusual_heartbeats
TO {readonly};
GRANT SELECT (id, name, type, method, schedule_id, enabled, timeout_ms, retries,
              retry_delay_ms, created_at) ON api_monitors TO {readonly};
GRANT SELECT (id, monitor_id, received_at, kind, exit_status, run_ms) ON push_signals
TO {readonly};
GRANT SELECT (id, received_at, datacenter_id, reason) ON api_heartbeats_set_aside TO {readonly};
GRANT SELECT (id, changed_at, role, application, address, source, action, key)
ON config_history TO {readonly};
GRANT SELECT (role_name, kind, datacenter_id) ON database_roles TO {readonly};
GRANT EXECUTE ON FUNCTION
    uptime, uptime_by_datacenter, uptimes, uptime_share, latency_percentiles, latencies,
    latency_phases, slowest_phases, outages, unusual_heartbeats_since, known_from, status_since, monitor_target,
    rollup_differences, rollup_waiting, rollup_bucket, partition_bounds, partition_coverage, partition_days_ahead,
    retention_held,
    latency_bucket, latency_value, latency_unpack, latency_count, latency_merge, latency_quantile
TO {readonly};

-- Writers of the configuration, who are readers too.
GRANT SELECT, INSERT, UPDATE, DELETE ON
    api_monitors, schedules, datacenter_monitors, maintenance_windows, secrets
TO {config};
GRANT USAGE ON SEQUENCE api_monitors_id_seq, schedules_id_seq TO {config};
GRANT EXECUTE ON FUNCTION config_at, monitor_history TO {config};
