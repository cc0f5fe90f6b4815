-- The audit's hash chain: written with every batch, checked by verify_event_chain(). One chain per Kafka partition, its head in
-- kafka_offset.

SET LOCAL check_function_bodies = off; -- `stage` is a temporary table of the logger's session

CREATE FUNCTION event_commitment(salt bytea, body json) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN sha256(salt || convert_to(body::text, 'UTF8'));
COMMENT ON FUNCTION event_commitment(bytea, json) IS 'SHA-256 of salt and body, byte for byte.';

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

CREATE TABLE event_checkpoint (
    topic text NOT NULL,
    kafka_partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    hash bytea NOT NULL,
    part text NOT NULL,
    detached_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, kafka_partition, kafka_offset)
);
COMMENT ON TABLE event_checkpoint IS 'Where the hash chain stood at the end of each month that was detached from the table event.';
COMMENT ON COLUMN event_checkpoint.topic IS 'Kafka topic.';
COMMENT ON COLUMN event_checkpoint.kafka_partition IS 'Kafka partition.';
COMMENT ON COLUMN event_checkpoint.kafka_offset IS 'Offset of the last event of that month.';
COMMENT ON COLUMN event_checkpoint.hash IS 'Its hash.';
COMMENT ON COLUMN event_checkpoint.part IS 'The month''s table.';
COMMENT ON COLUMN event_checkpoint.detached_at IS 'When it was detached.';

CREATE FUNCTION record_events() RETURNS void
LANGUAGE sql AS $$
    WITH salted AS MATERIALIZED (
        SELECT s.*, CASE WHEN s.sealed IS NULL THEN uuid_send(gen_random_uuid()) END AS salt FROM stage s WHERE NOT s.early),
    unchained AS MATERIALIZED (
        SELECT ROW(now(), topic, kafka_partition, kafka_offset, id, name, occurred_at, offboarding_id, job_id,
                   body #>> '{context,phase}', body #>> '{context,step}',
                   CASE WHEN name IN ('control.pause', 'control.resume') THEN substr(body ->> 'key', 7)
                        ELSE body #>> '{context,system}' END,
                   body #>> '{context,action}', (body #>> '{context,attempt}')::integer, body #>> '{context,outcome}',
                   (body #>> '{response,statusCode}')::integer, note, CASE WHEN sealed IS NULL THEN raw END, salt, sealed,
                   staged_person(name, offboarding_id, body), coalesce(sha256(sealed), event_commitment(salt, raw)), NULL)::event AS e
        FROM salted),
    links AS (
        SELECT topic, kafka_partition, -1 AS kafka_offset, head AS link, NULL::event AS e
        FROM kafka_offset WHERE (topic, kafka_partition) IN (SELECT topic, kafka_partition FROM stage WHERE NOT early)
        UNION ALL
        SELECT (e).topic, (e).kafka_partition, (e).kafka_offset, event_link(e), e FROM unchained),
    chained AS (
        SELECT e, event_chain(link) OVER (PARTITION BY topic, kafka_partition ORDER BY kafka_offset) AS hash FROM links),
    recorded AS (
        INSERT INTO event
        SELECT (e).recorded_at, (e).topic, (e).kafka_partition, (e).kafka_offset, (e).id, (e).name, (e).occurred_at,
               (e).offboarding_id, (e).job_id, (e).phase, (e).step, (e).system, (e).action, (e).attempt, (e).outcome,
               (e).status_code, (e).note, (e).body, (e).salt, (e).sealed, (e).person_digest, (e).commitment, hash
        FROM chained WHERE (e).topic IS NOT NULL
        RETURNING topic, kafka_partition, kafka_offset, hash)
    UPDATE kafka_offset k SET head = l.hash
    FROM (SELECT DISTINCT ON (topic, kafka_partition) topic, kafka_partition, hash
          FROM recorded ORDER BY topic, kafka_partition, kafka_offset DESC) l
    WHERE k.topic = l.topic AND k.kafka_partition = l.kafka_partition;
$$;
COMMENT ON FUNCTION record_events() IS 'Staged events become rows of the audit, each chained to the one before it in its Kafka partition.';

CREATE FUNCTION event_hash_before(topic text, kafka_partition integer, kafka_offset bigint) RETURNS bytea
LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT b.hash
        FROM ((SELECT e.kafka_offset, e.hash FROM event e
               WHERE e.topic = $1 AND e.kafka_partition = $2 AND e.kafka_offset < $3 ORDER BY e.kafka_offset DESC LIMIT 1)
              UNION ALL
              (SELECT c.kafka_offset, c.hash FROM event_checkpoint c
               WHERE c.topic = $1 AND c.kafka_partition = $2 AND c.kafka_offset < $3 ORDER BY c.kafka_offset DESC LIMIT 1)) b
        ORDER BY b.kafka_offset DESC LIMIT 1), decode(repeat('00', 32), 'hex'))
$$;
COMMENT ON FUNCTION event_hash_before(text, integer, bigint) IS
    'Hash of the last event before this offset, detached months included; zeros when there is none.';

-- A row whose neighbour was recorded in another range is compared by index: clocks may have stepped back.
CREATE FUNCTION verify_event_chain(since timestamptz DEFAULT '-infinity', before timestamptz DEFAULT 'infinity')
RETURNS TABLE (topic text, kafka_partition integer, kafka_offset bigint, problem text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH chained AS (
        SELECT e.topic, e.kafka_partition, e.kafka_offset, e.hash, event_link(e) AS link, lag(e.hash) OVER p AS before
        FROM event e
        WHERE e.recorded_at >= since AND e.recorded_at < verify_event_chain.before
        WINDOW p AS (PARTITION BY e.topic, e.kafka_partition ORDER BY e.kafka_offset))
    SELECT c.topic, c.kafka_partition, c.kafka_offset, 'the row was altered, or a row before it was added or removed'
    FROM chained c
    WHERE (c.hash = sha256(c.before || c.link)) IS NOT TRUE
      AND c.hash <> sha256(event_hash_before(c.topic, c.kafka_partition, c.kafka_offset) || c.link)
    UNION ALL
    SELECT e.topic, e.kafka_partition, e.kafka_offset, 'the body was altered'
    FROM event e
    WHERE e.recorded_at >= since AND e.recorded_at < verify_event_chain.before
      AND (e.body IS NOT NULL AND event_commitment(e.salt, e.body) IS DISTINCT FROM e.commitment
           OR e.sealed IS NOT NULL AND sha256(e.sealed) <> e.commitment)
    UNION ALL
    SELECT k.topic, k.kafka_partition,
           (SELECT max(e.kafka_offset) FROM event e WHERE e.topic = k.topic AND e.kafka_partition = k.kafka_partition),
           'rows at the end were added or removed'
    FROM kafka_offset k
    WHERE k.head <> event_hash_before(k.topic, k.kafka_partition, 9223372036854775807)
    ORDER BY 1, 2, 3
$$;
COMMENT ON FUNCTION verify_event_chain(timestamptz, timestamptz) IS
    'Checks the hash chain of the events recorded in this range (all, if none is given), every body, sealed or in clear, that is still there against its commitment, and the end of each chain. No rows: all is as it was written.';

REVOKE ALL ON FUNCTION verify_event_chain(timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION verify_event_chain(timestamptz, timestamptz) TO offboard_analyst;

-- ---- months that go -------------------------------------------------------------------------------------------------

CREATE FUNCTION detach_event_partitions(before timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    part text;
BEGIN
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'event'::regclass AND c.relname ~ '^event_\d{4}_\d\d$'
          AND to_timestamp(substr(c.relname, 7), 'YYYY_MM') + interval '1 month' <= least(before, now())
        ORDER BY c.relname
    LOOP
        EXECUTE format('ALTER TABLE event DETACH PARTITION %I', part);
        EXECUTE format('INSERT INTO event_checkpoint (topic, kafka_partition, kafka_offset, hash, part)'
                       ' SELECT k.topic, k.kafka_partition, l.kafka_offset, l.hash, %L FROM kafka_offset k CROSS JOIN LATERAL ('
                       '  SELECT e.kafka_offset, e.hash FROM %I e WHERE e.topic = k.topic AND e.kafka_partition = k.kafka_partition'
                       '  ORDER BY e.kafka_offset DESC LIMIT 1) l', part, part);
        RETURN NEXT part;
    END LOOP;
END
$$;
COMMENT ON FUNCTION detach_event_partitions(timestamptz) IS
    'Takes the months that ended before this time out of the table event, and returns their names: tables of their own from then on, to be dumped and dropped. Where the chain goes on stays in event_checkpoint.';
REVOKE ALL ON FUNCTION detach_event_partitions(timestamptz) FROM PUBLIC;
