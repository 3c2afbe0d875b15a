-- Renew, take or see the lease, by the clock of the database, read after the row is locked.
-- Stealing needs both: expired here, and (term, seq) unchanged as the candidate saw it for a TTL.
CREATE OR REPLACE FUNCTION lease_ask(
    p_datacenter int, p_candidate uuid, p_name text, p_ttl interval,
    p_seen_term bigint, p_seen_seq bigint, p_may_steal boolean
) RETURNS TABLE (held boolean, term bigint, seq bigint, holder_name text, server_now timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    l agent_leases;
    n timestamptz;
BEGIN
    PERFORM agent_check(p_datacenter, true);
    SELECT * INTO l FROM agent_leases WHERE datacenter_id = p_datacenter FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        INSERT INTO agent_leases (datacenter_id) VALUES (p_datacenter) ON CONFLICT DO NOTHING;
        SELECT * INTO STRICT l FROM agent_leases
        WHERE datacenter_id = p_datacenter FOR NO KEY UPDATE;
    END IF;
    n := clock_timestamp();
    IF l.holder = p_candidate THEN
        -- Also when it has expired: nobody else led in between, so the term goes on.
        UPDATE agent_leases SET expires_at = n + p_ttl, seq = l.seq + 1
        WHERE datacenter_id = p_datacenter;
        RETURN QUERY SELECT true, l.term, l.seq + 1, p_name, n;
    ELSIF l.holder IS NULL OR (p_may_steal AND l.expires_at <= n
                               AND l.term = p_seen_term AND l.seq = p_seen_seq) THEN
        UPDATE agent_leases SET term = l.term + 1, holder = p_candidate, holder_name = p_name,
               seq = l.seq + 1, expires_at = n + p_ttl
        WHERE datacenter_id = p_datacenter;
        UPDATE agent_terms t SET expired_at = l.expires_at
        WHERE t.datacenter_id = p_datacenter AND t.term = l.term AND t.released_at IS NULL;
        INSERT INTO agent_terms VALUES (p_datacenter, l.term + 1, p_candidate, p_name, n);
        RETURN QUERY SELECT true, l.term + 1, l.seq + 1, p_name, n;
    ELSE
        RETURN QUERY SELECT false, l.term, l.seq, l.holder_name, n;
    END IF;
END $$;

-- Give the lease back; true if it was still the candidate's. Standbys listen on the channel.
CREATE OR REPLACE FUNCTION lease_release(p_datacenter int, p_candidate uuid, p_term bigint)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM agent_check(p_datacenter, true);
    UPDATE agent_leases
    SET holder = NULL, holder_name = NULL, expires_at = '-infinity', seq = seq + 1
    WHERE datacenter_id = p_datacenter AND holder = p_candidate AND term = p_term;
    IF FOUND THEN
        UPDATE agent_terms SET released_at = clock_timestamp()
        WHERE datacenter_id = p_datacenter AND term = p_term;
        PERFORM pg_notify('uptimeo_lease_' || p_datacenter, p_term::text);
        RETURN true;
    END IF;
    RETURN false;
END $$;
