CREATE OR REPLACE FUNCTION peer_key(p_datacenter int) RETURNS bytea
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM agent_check(p_datacenter);
    INSERT INTO peer_keys (datacenter_id) VALUES (p_datacenter) ON CONFLICT DO NOTHING;
    RETURN (SELECT key FROM peer_keys WHERE datacenter_id = p_datacenter);
END $$;
