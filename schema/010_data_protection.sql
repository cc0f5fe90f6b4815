-- Data protection: what tells of a person goes, what proves that access was taken stays. The planner deletes the key of an offboarding, and
-- with it all copies of its data, in Kafka and in backups; here the rows are emptied. Also: everything about one person, for whoever asks.

-- ---- erasing --------------------------------------------------------------------------------------------------------

-- With its owner's rights: the logger calls it for an order to erase a person.
CREATE FUNCTION erase_persons(digests bytea[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE event e SET body = NULL, salt = NULL WHERE e.person_digest = ANY (digests);
    UPDATE intake i SET person = NULL, reason = NULL, criterion = NULL, data = NULL, person_digest = NULL
    WHERE i.person_digest = ANY (digests);
    DELETE FROM cancellation c WHERE c.subject = ANY (ARRAY(SELECT encode(d, 'hex') FROM unnest(digests) d));
$$;
COMMENT ON FUNCTION erase_persons(bytea[]) IS
    'Empties what HR and operators said of these persons without an offboarding: events that were ignored or refused, cancellations. By the digests of their keys.';
REVOKE ALL ON FUNCTION erase_persons(bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_persons(bytea[]) TO offboard_logger;

-- What the outside world said to a job, and what HR and operators said of the person without an offboarding.
CREATE FUNCTION erase_loose_events(which uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE event e SET body = NULL, salt = NULL
    FROM awaited a JOIN job j ON j.id = a.job_id
    WHERE j.offboarding_id = ANY (which) AND e.name = 'signal' AND e.body #>> '{context,signal,key}' = a.key
      AND e.body #>> '{context,signal,name}' = a.signal;
    UPDATE signal s SET data = NULL, actor = NULL
    FROM awaited a JOIN job j ON j.id = a.job_id
    WHERE j.offboarding_id = ANY (which) AND s.name = a.signal AND s.key = a.key;
    PERFORM erase_persons(ARRAY(SELECT k.digest FROM person_key k WHERE k.offboarding_id = ANY (which)));
END
$$;
COMMENT ON FUNCTION erase_loose_events(uuid[]) IS
    'Empties what belongs to no offboarding: signals that jobs of these waited for, and what HR and operators said of the persons.';
REVOKE ALL ON FUNCTION erase_loose_events(uuid[]) FROM PUBLIC;

-- With its owner's rights: the logger calls it when a key is gone. Of one that had not ended nothing can run any more.
CREATE FUNCTION erase_offboardings(which uuid[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    erased uuid[];
BEGIN
    DELETE FROM personal_key k WHERE k.offboarding_id = ANY (which) AND k.offboarding_id <> '00000000-0000-0000-0000-000000000000';
    erased := ARRAY(SELECT o.id FROM offboarding o WHERE o.id = ANY (which) AND o.erased_at IS NULL ORDER BY o.id FOR NO KEY UPDATE);
    PERFORM erase_loose_events(erased);
    UPDATE event e SET sealed = NULL, body = NULL, salt = NULL
    WHERE e.offboarding_id = ANY (erased)
      AND (e.sealed IS NOT NULL OR e.body IS NOT NULL AND e.name NOT IN ('order.erase', 'erased')); -- these are in clear, and stay
    UPDATE intake i SET personal = NULL WHERE i.offboarding_id = ANY (erased);
    UPDATE early_result e SET sealed = NULL WHERE e.offboarding_id = ANY (erased);
    DELETE FROM result r WHERE r.offboarding_id = ANY (erased);
    DELETE FROM open_job w WHERE w.offboarding_id = ANY (erased);
    UPDATE job j
    SET personal = NULL, before_image = NULL, state = CASE WHEN j.state IN ('waiting', 'ready') THEN 'cancelled' ELSE j.state END
    WHERE j.offboarding_id = ANY (erased);
    UPDATE phase p SET status = 'cancelled', ended_at = now()
    WHERE p.offboarding_id = ANY (erased) AND p.status IN ('waiting', 'held', 'initiated');
    DELETE FROM person_key k WHERE k.offboarding_id = ANY (erased);
    UPDATE offboarding o
    SET personal = NULL, reason = NULL, erased_at = now(), erase_ordered_at = coalesce(o.erase_ordered_at, now()),
        status = CASE WHEN o.status IN ('waiting', 'held', 'initiated') THEN 'cancelled' ELSE o.status END,
        ended_at = coalesce(o.ended_at, now())
    WHERE o.id = ANY (erased);
    RETURN cardinality(erased);
END
$$;
COMMENT ON FUNCTION erase_offboardings(uuid[]) IS
    'Deletes the keys and the personal data of these offboardings, and returns how many had any. Steps, times, outcomes, who started it, who ordered the erasure and why, and the hash chain stay; nothing of them can be undone afterwards.';
REVOKE ALL ON FUNCTION erase_offboardings(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_offboardings(uuid[]) TO offboard_logger;

CREATE FUNCTION erase_ended_offboardings(before timestamptz, most integer DEFAULT 1000) RETURNS integer
LANGUAGE sql
RETURN (SELECT count(*) FROM order_erasure(ARRAY(
    SELECT o.id FROM offboarding o
    WHERE o.ended_at < before AND o.erase_ordered_at IS NULL AND keeps_data(o) IS NULL
    ORDER BY o.ended_at LIMIT most)));
COMMENT ON FUNCTION erase_ended_offboardings(timestamptz, integer) IS
    'Orders the erasure of offboardings that ended before this time, the oldest first, and returns how many they were. Call it until that is less than `most`. Run by the owner of the schema; nobody else may.';
REVOKE ALL ON FUNCTION erase_ended_offboardings(timestamptz, integer) FROM PUBLIC;

-- ---- what there is about one person ---------------------------------------------------------------------------------

CREATE FUNCTION analyst.of_person(person text) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER ROWS 5 SET search_path = public, pg_temp AS $$
    SELECT DISTINCT k.offboarding_id FROM person_key k WHERE k.digest = ANY (person_digests(ARRAY[folded(person), person]))
$$;
COMMENT ON FUNCTION analyst.of_person(text) IS
    'Offboardings of the person with this e-mail, employee id or account (system:id), but for those that were erased.';

CREATE FUNCTION analyst.said_of(person text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT (SELECT count(*) FROM event e WHERE e.person_digest = ANY (d.digests) AND e.body IS NOT NULL)
           + (SELECT count(*) FROM intake i WHERE i.person_digest = ANY (d.digests))
    FROM (SELECT person_digests(ARRAY[folded(person), person])) AS d (digests)
$$;
COMMENT ON FUNCTION analyst.said_of(text) IS
    'How many records HR and operators left of the person with this e-mail, employee id or account without an offboarding, but for those that were erased.';

CREATE FUNCTION offboarding_data(o offboarding) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'offboarding', (SELECT to_jsonb(v) FROM analyst.offboardings v WHERE v.offboarding_id = o.id),
        'leaver', p -> 'leaver', 'extra', p -> 'extra', 'event', o.event, 'actor', o.actor,
        'intake', (SELECT coalesce(jsonb_agg(opened(i.offboarding_id, i.personal)::jsonb || jsonb_build_object(
                              'received_at', i.received_at, 'disposition', i.disposition) ORDER BY i.received_at, i.id), '[]')
                   FROM intake i WHERE i.offboarding_id = o.id),
        'jobs', (SELECT coalesce(jsonb_agg(to_jsonb(v) || jsonb_build_object(
                            'saved', opened(j.offboarding_id, j.personal)::jsonb -> 'saved',
                            'before', opened(j.offboarding_id, j.before_image)::jsonb) ORDER BY j.position), '[]')
                 FROM analyst.jobs v JOIN job j ON j.id = v.job_id WHERE v.offboarding_id = o.id),
        'results', (SELECT coalesce(jsonb_agg(opened(r.offboarding_id, r.sealed)::jsonb ORDER BY r.id), '[]')
                    FROM result r WHERE r.offboarding_id = o.id),
        'open_items', (SELECT coalesce(jsonb_agg(to_jsonb(v) ORDER BY v.opened_at), '[]')
                       FROM analyst.open_items v WHERE v.offboarding_id = o.id),
        'signals', (SELECT coalesce(jsonb_agg(to_jsonb(v) ORDER BY v.received_at), '[]')
                    FROM awaited a JOIN job j ON j.id = a.job_id
                         JOIN analyst.signals v ON v.signal = a.signal AND v.key = a.key AND v.job_id = j.id
                    WHERE j.offboarding_id = o.id),
        'events', (SELECT coalesce(jsonb_agg(to_jsonb(v) ORDER BY v.occurred_at, v.topic, v.kafka_partition, v.kafka_offset), '[]')
                   FROM analyst.timeline v WHERE v.offboarding_id = o.id))
    FROM (SELECT opened(o.id, o.personal)::jsonb OFFSET 0) AS x (p)
$$;
COMMENT ON FUNCTION offboarding_data(offboarding) IS 'Everything that is recorded of one offboarding.';

CREATE FUNCTION analyst.person_data(person text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    named bytea[] := person_digests(ARRAY[folded(person), person]);
    digests bytea[] := named || ARRAY(SELECT k.digest FROM person_key k
                                      WHERE k.offboarding_id IN (SELECT n.offboarding_id FROM person_key n WHERE n.digest = ANY (named)));
BEGIN
    RETURN jsonb_build_object(
        'version', 1, 'person', person, 'at', instant(now()),
        'offboardings', (SELECT coalesce(jsonb_agg(offboarding_data(o) ORDER BY o.received_at, o.id), '[]') FROM offboarding o
                         WHERE o.id IN (SELECT k.offboarding_id FROM person_key k WHERE k.digest = ANY (digests))),
        'intake', (SELECT coalesce(jsonb_agg(to_jsonb(i) - '{personal,person_digest}'::text[] ORDER BY i.received_at, i.id), '[]')
                   FROM intake i WHERE i.person_digest = ANY (digests)),
        'events', (SELECT coalesce(jsonb_agg(e.body::jsonb ORDER BY e.occurred_at, e.topic, e.kafka_partition, e.kafka_offset), '[]')
                   FROM event e WHERE e.person_digest = ANY (digests) AND e.body IS NOT NULL),
        'cancellations', (SELECT coalesce(jsonb_agg(to_jsonb(c) - 'subject' ORDER BY c.cancelled_at), '[]')
                          FROM cancellation c WHERE c.subject = ANY (ARRAY(SELECT encode(d, 'hex') FROM unnest(digests) d))));
END
$$;
COMMENT ON FUNCTION analyst.person_data(text) IS
    'Everything about the person with this e-mail, employee id or account: their offboardings under all their keys, with what was read, changed and said, and what HR and operators said of them without an offboarding.';
REVOKE ALL ON FUNCTION analyst.of_person(text), analyst.said_of(text), analyst.person_data(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION analyst.of_person(text), analyst.said_of(text), analyst.person_data(text) TO offboard_analyst;
