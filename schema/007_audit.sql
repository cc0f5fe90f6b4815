-- The audit's hash chain: written with every batch, checked by verify_event_chain(). One chain per Kafka partition, its head in
-- kafka_offset.

SET LOCAL check_function_bodies = off; -- `stage` is a temporary table of the logger's session

CREATE FUNCTION event_commitment(salt bytea, body jsonb) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN sha256(salt || convert_to(body::text, 'UTF8'));
COMMENT ON FUNCTION event_commitment(bytea, jsonb) IS 'SHA-256 of salt and body (the text of its jsonb).';

CREATE FUNCTION event_link(e event) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN convert_to(jsonb_build_array(
    e.topic, e.kafka_partition, e.kafka_offset, e.id, e.name, instant(e.occurred_at), instant(e.recorded_at), e.offboarding_id,
    e.job_id, e.phase, e.step, e.system, e.action, e.attempt, e.outcome, e.status_code, e.note,
    encode(e.commitment, 'hex'))::text, 'UTF8');
COMMENT ON FUNCTION event_link(event) IS 'What of an event row goes into the hash chain: its columns in clear and the commitment.';

CREATE FUNCTION chain_hash(before bytea, link bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN before IS NULL THEN link ELSE sha256(before || link) END;
COMMENT ON FUNCTION chain_hash(bytea, bytea) IS 'One step of the chain. The first link is taken as the hash to start from.';

CREATE AGGREGATE event_chain(bytea) (SFUNC = chain_hash, STYPE = bytea);
COMMENT ON AGGREGATE event_chain(bytea) IS 'The hash chain over links, in order, beginning with a hash.';

CREATE FUNCTION record_events() RETURNS void
LANGUAGE sql AS $$
    WITH salted AS MATERIALIZED (
        SELECT s.*, uuid_send(gen_random_uuid()) AS salt FROM stage s),
    unchained AS MATERIALIZED (
        SELECT ROW(now(), topic, kafka_partition, kafka_offset, id, name, occurred_at, offboarding_id, job_id,
                   body #>> '{context,phase}', body #>> '{context,step}',
                   CASE WHEN name IN ('control.pause', 'control.resume') THEN substr(body ->> 'key', 7)
                        ELSE body #>> '{context,system}' END,
                   body #>> '{context,action}', (body #>> '{context,attempt}')::integer, body #>> '{context,outcome}',
                   (body #>> '{response,statusCode}')::integer, note, body, salt, event_commitment(salt, body), NULL)::event AS e
        FROM salted),
    links AS (
        SELECT topic, kafka_partition, -1 AS kafka_offset, head AS link, NULL::event AS e
        FROM kafka_offset WHERE (topic, kafka_partition) IN (SELECT topic, kafka_partition FROM stage)
        UNION ALL
        SELECT (e).topic, (e).kafka_partition, (e).kafka_offset, event_link(e), e FROM unchained),
    chained AS (
        SELECT e, event_chain(link) OVER (PARTITION BY topic, kafka_partition ORDER BY kafka_offset) AS hash FROM links)
    INSERT INTO event
    SELECT (e).recorded_at, (e).topic, (e).kafka_partition, (e).kafka_offset, (e).id, (e).name, (e).occurred_at,
           (e).offboarding_id, (e).job_id, (e).phase, (e).step, (e).system, (e).action, (e).attempt, (e).outcome,
           (e).status_code, (e).note, (e).body, (e).salt, (e).commitment, hash
    FROM chained WHERE (e).topic IS NOT NULL;

    UPDATE kafka_offset k SET head = l.hash
    FROM (SELECT DISTINCT ON (e.topic, e.kafka_partition) e.topic, e.kafka_partition, e.hash
          FROM stage s JOIN event e ON e.topic = s.topic AND e.kafka_partition = s.kafka_partition
                                   AND e.kafka_offset = s.kafka_offset AND e.recorded_at = now()
          ORDER BY e.topic, e.kafka_partition, e.kafka_offset DESC) l
    WHERE k.topic = l.topic AND k.kafka_partition = l.kafka_partition;
$$;
COMMENT ON FUNCTION record_events() IS 'Staged events become rows of the audit, each chained to the one before it in its Kafka partition.';

CREATE FUNCTION verify_event_chain() RETURNS TABLE (topic text, kafka_partition integer, kafka_offset bigint, problem text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH chained AS (
        SELECT e.topic, e.kafka_partition, e.kafka_offset, e.hash, e.salt, e.body, e.commitment, event_link(e) AS link,
               lag(e.hash) OVER p AS before, lead(e.hash) OVER p IS NULL AS last
        FROM event e
        WINDOW p AS (PARTITION BY e.topic, e.kafka_partition ORDER BY e.kafka_offset))
    SELECT c.topic, c.kafka_partition, c.kafka_offset,
           'the row was altered, or a row before it was added or removed'
    FROM chained c
    WHERE c.hash <> sha256(coalesce(c.before, decode(repeat('00', 32), 'hex')) || c.link)
    UNION ALL
    SELECT c.topic, c.kafka_partition, c.kafka_offset, 'the body was altered'
    FROM chained c WHERE c.body IS NOT NULL AND event_commitment(c.salt, c.body) IS DISTINCT FROM c.commitment
    UNION ALL
    SELECT k.topic, k.kafka_partition, c.kafka_offset, 'rows at the end were added or removed'
    FROM kafka_offset k LEFT JOIN chained c ON c.topic = k.topic AND c.kafka_partition = k.kafka_partition AND c.last
    WHERE k.head <> coalesce(c.hash, decode(repeat('00', 32), 'hex'))
    ORDER BY 1, 2, 3
$$;
COMMENT ON FUNCTION verify_event_chain() IS
    'Checks the hash chain of all events, and every body that is still there against its commitment. No rows: all is as it was written.';

REVOKE ALL ON FUNCTION verify_event_chain() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION verify_event_chain() TO offboard_analyst;
