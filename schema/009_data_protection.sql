-- Data protection: what tells of a person goes, what proves that access was taken stays. Run by the owner of the schema; nobody else may.
-- Kafka keeps its records as long as its topics say.

CREATE FUNCTION blank_offboardings(which uuid[]) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    over uuid[];
    persons text[];
BEGIN
    SELECT coalesce(array_agg(o.id), '{}'), coalesce(array_agg(DISTINCT k.key) FILTER (WHERE k.key IS NOT NULL), '{}')
    INTO over, persons
    FROM (SELECT id, leaver, extra FROM offboarding
          WHERE id = ANY (which) AND status IN ('completed', 'cancelled', 'duplicate') AND blanked_at IS NULL
          ORDER BY id FOR NO KEY UPDATE) o
         LEFT JOIN LATERAL unnest(person_keys(o.leaver, o.extra -> 'given_ids')) k (key) ON true;

    UPDATE event e SET body = NULL, salt = NULL
    FROM awaited a JOIN job j ON j.id = a.job_id
    WHERE j.offboarding_id = ANY (over) AND e.name = 'signal' AND e.body #>> '{context,signal,key}' = a.key
      AND e.body #>> '{context,signal,name}' = a.signal;
    UPDATE signal s SET data = NULL, actor = NULL
    FROM awaited a JOIN job j ON j.id = a.job_id
    WHERE j.offboarding_id = ANY (over) AND s.name = a.signal AND s.key = a.key;
    DELETE FROM result WHERE offboarding_id = ANY (over);
    UPDATE job SET outputs = NULL, saved = NULL, verified = NULL, reason = NULL, before_image = NULL
    WHERE offboarding_id = ANY (over);

    -- Events without an offboarding: what HR said of these people and nothing came of, and orders that name them.
    UPDATE event e SET body = NULL, salt = NULL
    FROM intake i
    WHERE i.offboarding_id IS NULL AND i.person = ANY (persons)
      AND e.id = i.id AND e.offboarding_id IS NULL AND e.name = 'intake';
    UPDATE event e SET body = NULL, salt = NULL
    WHERE e.name IN ('control.cancel', 'control.uncancel') AND e.body ->> 'key' = ANY (ARRAY(SELECT 'cancel/' || p FROM unnest(persons) p));
    UPDATE event e SET body = NULL, salt = NULL WHERE e.offboarding_id = ANY (over) AND e.body IS NOT NULL;

    UPDATE intake i SET person = NULL, data = NULL, criterion = NULL, reason = NULL
    WHERE i.offboarding_id = ANY (over) OR (i.offboarding_id IS NULL AND i.person = ANY (persons));
    DELETE FROM cancellation c WHERE c.subject = ANY (persons);
    UPDATE offboarding o SET leaver = '{}', ids = '{}', extra = '{}', reason = NULL, blanked_at = now() WHERE o.id = ANY (over);
    RETURN cardinality(over);
END
$$;
COMMENT ON FUNCTION blank_offboardings(uuid[]) IS
    'Removes the personal data of those of these offboardings that are over and still have them, and returns how many they are. Steps, times, outcomes, who started it, and the hash chain stay; nothing of them can be undone afterwards.';
REVOKE ALL ON FUNCTION blank_offboardings(uuid[]) FROM PUBLIC;

CREATE FUNCTION blank_ended_offboardings(before timestamptz, most integer DEFAULT 1000) RETURNS integer
LANGUAGE sql
RETURN blank_offboardings(ARRAY(
    SELECT o.id FROM offboarding o
    WHERE o.ended_at < before AND o.blanked_at IS NULL AND o.status IN ('completed', 'cancelled', 'duplicate')
    ORDER BY o.ended_at LIMIT most));
COMMENT ON FUNCTION blank_ended_offboardings(timestamptz, integer) IS
    'Removes the personal data of offboardings that ended before this time, the oldest first, and returns how many they were. Call it until that is less than `most`.';
REVOKE ALL ON FUNCTION blank_ended_offboardings(timestamptz, integer) FROM PUBLIC;
