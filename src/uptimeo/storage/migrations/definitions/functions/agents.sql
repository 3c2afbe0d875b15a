-- The datacenter of the agent's role that logged in; NULL for any other role.
CREATE OR REPLACE FUNCTION agent_datacenter() RETURNS int
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT datacenter_id FROM database_roles WHERE role_name = session_user
$$;

-- Refuses an agent that acts for another datacenter than that of its role. Whoever has the rights
-- of the owner may act for any. `p_or_maintenance`: 0, the whole installation, is for all agents.
CREATE OR REPLACE FUNCTION agent_check(p_datacenter int, p_or_maintenance boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    own CONSTANT int := agent_datacenter();
BEGIN
    IF own = p_datacenter OR (own IS NOT NULL AND p_or_maintenance AND p_datacenter = 0)
       -- Here, current_user is the owner of the schema's functions.
       OR (own IS NULL AND pg_has_role(session_user, current_user, 'USAGE')) THEN
        RETURN;
    END IF;
    RAISE insufficient_privilege USING MESSAGE = format(
        'the role %s may act for %s, not for datacenter %s', session_user,
        coalesce('datacenter ' || own, 'no datacenter'), coalesce(p_datacenter::text, 'NULL'));
END $$;

-- Refuses an agent that maintains as if it were another time: it would drop what is to be kept.
CREATE OR REPLACE FUNCTION agent_check_time(p_now timestamptz) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT pg_has_role(session_user, current_user, 'USAGE')
       AND (agent_datacenter() IS NOT NULL
            AND p_now BETWEEN clock_timestamp() - interval '1 minute'
                          AND clock_timestamp() + interval '1 minute') IS NOT TRUE THEN
        RAISE insufficient_privilege USING MESSAGE = format(
            'the role %s may maintain only for its datacenter and as of now, not of %s',
            session_user, p_now);
    END IF;
END $$;

-- The id of an agent's row, which is made at its first start.
CREATE OR REPLACE FUNCTION agent_register(p_datacenter int, p_name text) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    v_id int;
BEGIN
    PERFORM agent_check(p_datacenter);
    INSERT INTO agents (name, datacenter_id) VALUES (p_name, p_datacenter)
    ON CONFLICT (datacenter_id, name) DO UPDATE SET name = excluded.name RETURNING id INTO v_id;
    RETURN v_id;
END $$;

-- Says that an agent lives, and how it is. `p_state` has the columns of its row that it may set.
CREATE OR REPLACE FUNCTION agent_report(p_datacenter int, p_agent int, p_state jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM agent_check(p_datacenter);
    INSERT INTO agent_instances (
        agent_id, version, host, pid, started_at, last_seen, term, spool_rows, spool_bytes,
        dropped, peer_address, peers_heard, loop_lag_p99_ms)
    SELECT a.id, s.version, s.host, s.pid, s.started_at, clock_timestamp(), s.term, s.spool_rows,
           s.spool_bytes, s.dropped, s.peer_address, s.peers_heard, s.loop_lag_p99_ms
    FROM agents a CROSS JOIN jsonb_to_record(p_state) AS s (
        version text, host text, pid int, started_at timestamptz, term bigint, spool_rows bigint,
        spool_bytes bigint, dropped bigint, peer_address text, peers_heard int,
        loop_lag_p99_ms real)
    WHERE a.id = p_agent AND a.datacenter_id = p_datacenter
    ON CONFLICT (agent_id) DO UPDATE SET
        version = excluded.version, host = excluded.host, pid = excluded.pid,
        started_at = excluded.started_at, last_seen = excluded.last_seen, term = excluded.term,
        spool_rows = excluded.spool_rows, spool_bytes = excluded.spool_bytes,
        dropped = excluded.dropped, peer_address = excluded.peer_address,
        peers_heard = excluded.peers_heard, loop_lag_p99_ms = excluded.loop_lag_p99_ms;
    IF NOT FOUND THEN
        RAISE no_data_found USING MESSAGE = format(
            'datacenter %s has no agent %s', p_datacenter, p_agent);
    END IF;
END $$;

-- Takes the row of a process away, unless another process has made it its own.
CREATE OR REPLACE FUNCTION agent_forget(p_datacenter int, p_agent int, p_pid int, p_host text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM agent_check(p_datacenter);
    DELETE FROM agent_instances i USING agents a
    WHERE i.agent_id = p_agent AND i.pid = p_pid AND i.host = p_host
      AND a.id = i.agent_id AND a.datacenter_id = p_datacenter;
END $$;

-- Where the other agents of a datacenter are reached, those seen last first. One that has not been
-- seen for an hour does not take over within the seconds that matter.
CREATE OR REPLACE FUNCTION agent_peers(p_datacenter int, p_agent int)
RETURNS TABLE (peer_address text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT agent_check(p_datacenter);
    SELECT i.peer_address FROM agent_instances i JOIN agents a ON a.id = i.agent_id
    WHERE a.datacenter_id = p_datacenter AND a.id <> p_agent AND i.peer_address IS NOT NULL
      AND i.last_seen > clock_timestamp() - interval '1 hour'
    ORDER BY i.last_seen DESC LIMIT 32
$$;

-- The monitors that run in a datacenter.
CREATE OR REPLACE FUNCTION datacenter_monitor_ids(p_datacenter int) RETURNS SETOF int
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1000 SET search_path FROM CURRENT AS $$
    SELECT agent_check(p_datacenter);
    SELECT m.id FROM api_monitors m
    WHERE NOT EXISTS (SELECT FROM datacenter_monitors d WHERE d.monitor_id = m.id)
       OR EXISTS (SELECT FROM datacenter_monitors d
                  WHERE d.monitor_id = m.id AND d.datacenter_id = p_datacenter)
$$;

-- Notes which monitors of a datacenter have a row that cannot be used, and why (an object: id to
-- reason), and which are in order.
CREATE OR REPLACE FUNCTION config_errors_note(p_datacenter int, p_errors jsonb, p_valid int[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    known int[];
BEGIN
    PERFORM agent_check(p_datacenter);
    known := ARRAY(SELECT datacenter_monitor_ids(p_datacenter));
    INSERT INTO monitor_config_errors AS c (monitor_id, reason)
    SELECT e.key::int, e.value FROM jsonb_each_text(p_errors) e WHERE e.key::int = ANY (known)
    ON CONFLICT (monitor_id) DO UPDATE SET reason = excluded.reason, since = excluded.since
    WHERE c.reason <> excluded.reason;
    DELETE FROM monitor_config_errors
    WHERE monitor_id IN (SELECT unnest(p_valid) INTERSECT SELECT unnest(known));
END $$;
