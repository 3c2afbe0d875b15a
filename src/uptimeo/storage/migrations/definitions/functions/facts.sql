-- For how long a value may be out of sight, while others are seen, and still be the same
-- appearance. Addresses take turns; last_seen may be an hour behind.
CREATE OR REPLACE FUNCTION fact_pause(p_fact text) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE p_fact WHEN 'address' THEN interval '25 hours' ELSE interval '2 hours' END;

-- Notes what the heartbeats of the buckets that were just rolled up show of their targets: values
-- that are new get a row, those that are known are seen longer. Late heartbeats end up the same.
CREATE OR REPLACE FUNCTION facts_note() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    fresh int;
BEGIN
    WITH seen AS MATERIALIZED (
        SELECT r.monitor_id, r.datacenter_id, v.fact, v.value, min(h.scheduled_at) AS since,
               max(h.scheduled_at) AS until,
               min(h.certificate::text) FILTER (WHERE v.fact = 'certificate')::jsonb AS certificate
        FROM rolled r
        CROSS JOIN LATERAL (
            SELECT scheduled_at, host(resolved_ip) AS address, http_version, response_server,
                   details -> 'certificate' AS certificate
            FROM api_heartbeats
            WHERE monitor_id = r.monitor_id AND datacenter_id = r.datacenter_id
              AND scheduled_at >= r.bucket AND scheduled_at < r.bucket + interval '5 min'
            OFFSET 0) h  -- a lookup for each monitor, never a scan of the day
        CROSS JOIN LATERAL (VALUES
            ('address', h.address), ('http_version', h.http_version), ('server', h.response_server),
            ('certificate', left(h.certificate ->> 'fingerprint', 200))) v (fact, value)
        WHERE r.checks > 0 AND v.value IS NOT NULL
        GROUP BY 1, 2, 3, 4
    ), known AS MATERIALIZED (
        SELECT s.*, f.first_seen, f.last_seen
        FROM seen s
        LEFT JOIN LATERAL (
            SELECT f.first_seen, f.last_seen FROM monitor_facts f
            WHERE (f.monitor_id, f.datacenter_id, f.fact, f.value)
                  = (s.monitor_id, s.datacenter_id, s.fact, s.value)
              AND (s.since <= f.last_seen + fact_pause(s.fact) OR NOT EXISTS (
                  SELECT FROM monitor_facts other
                  WHERE (other.monitor_id, other.datacenter_id, other.fact)
                        = (s.monitor_id, s.datacenter_id, s.fact)
                    AND other.value <> s.value
                    AND other.last_seen > f.last_seen AND other.first_seen < s.since))
              AND s.until >= f.first_seen - fact_pause(s.fact)
            -- One that began by then, if there is any: its key stays.
            ORDER BY f.first_seen > s.since, abs(extract(epoch FROM f.first_seen - s.since))
            LIMIT 1) f ON true
    ), longer AS (
        UPDATE monitor_facts f
        SET first_seen = least(f.first_seen, k.since), last_seen = greatest(f.last_seen, k.until)
        FROM known k
        WHERE (f.monitor_id, f.datacenter_id, f.fact, f.value, f.first_seen)
              = (k.monitor_id, k.datacenter_id, k.fact, k.value, k.first_seen)
          AND (k.since < k.first_seen OR k.until >= k.last_seen + interval '1 hour')
    ), added AS (
        INSERT INTO monitor_facts
        SELECT monitor_id, datacenter_id, fact, value, since, until,
               CASE WHEN fact = 'certificate' THEN jsonb_build_object(
                   'subject', left(certificate ->> 'subject', 200),
                   'issuer', left(certificate ->> 'issuer', 200),
                   'leaf_expires', certificate ->> 'leaf_expires',
                   'chain_expires', certificate ->> 'chain_expires') END
        FROM known WHERE first_seen IS NULL
        ORDER BY 1, 2, 3, 4
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT count(*) INTO fresh FROM added;
    IF fresh > 0 THEN
        DELETE FROM monitor_facts f USING (
            SELECT monitor_id, datacenter_id, fact, value, first_seen, row_number() OVER (
                PARTITION BY monitor_id, datacenter_id, fact ORDER BY first_seen DESC) AS n
            FROM monitor_facts
            WHERE (monitor_id, datacenter_id) IN (SELECT monitor_id, datacenter_id FROM rolled)
        ) surplus
        WHERE surplus.n > 200 AND (f.monitor_id, f.datacenter_id, f.fact, f.value, f.first_seen)
              = (surplus.monitor_id, surplus.datacenter_id, surplus.fact,
                 surplus.value, surplus.first_seen);
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER note_facts AFTER INSERT ON heartbeats_5m
    REFERENCING NEW TABLE AS rolled FOR EACH STATEMENT EXECUTE FUNCTION facts_note();
CREATE OR REPLACE TRIGGER note_facts_again AFTER UPDATE ON heartbeats_5m
    REFERENCING NEW TABLE AS rolled FOR EACH STATEMENT EXECUTE FUNCTION facts_note();
