-- What the logger calls: one batch of messages, staged, becomes rows and states. See logger/logger.h.

SET LOCAL check_function_bodies = off; -- `stage` is a temporary table of the logger's session

-- `OFFSET 0` after a member that is read out of a body keeps the planner from reading it out anew for every use.

CREATE FUNCTION open_stage() RETURNS void
LANGUAGE sql AS $$
    CREATE TEMP TABLE IF NOT EXISTS stage (
        seq integer NOT NULL,           -- order of the batch
        wave integer,                   -- how many of its offboarding came before, from 1; null: changes no offboarding
        topic text NOT NULL,
        kafka_partition integer NOT NULL,
        kafka_offset bigint NOT NULL,
        id uuid NOT NULL,
        name text NOT NULL,
        occurred_at timestamptz NOT NULL,
        offboarding_id uuid,
        job_id uuid,
        published_by text,              -- header ce_source
        traceparent text,               -- header
        raw json NOT NULL,              -- the event as it came, opened; of a control record {key, value, order}
        sealed bytea,                   -- the record as Kafka has it, where it is sealed
        body jsonb GENERATED ALWAYS AS (raw::jsonb) STORED,
        note text,
        early boolean NOT NULL DEFAULT false -- recorded before, when its offboarding was not known
    ) ON COMMIT DELETE ROWS;
    -- Bodies are read member by member: neither compressed nor moved out of the row while they fit a page.
    ALTER TABLE stage SET (toast_tuple_target = 8160);
    ALTER TABLE stage ALTER COLUMN body SET STORAGE EXTERNAL, ALTER COLUMN sealed SET STORAGE EXTERNAL;
    CREATE INDEX IF NOT EXISTS stage_wave ON stage (wave);
    -- Control records by what they are about; an offboarding's id in lower case, however it was written.
    CREATE OR REPLACE TEMP VIEW staged_control AS
    SELECT s.seq, s.id, s.name, coalesce(id_of(k.subject)::text, k.subject) AS subject, s.body -> 'value' AS value, s.occurred_at
    FROM stage s CROSS JOIN LATERAL (SELECT substr(s.body ->> 'key', strpos(s.body ->> 'key', '/') + 1)) AS k (subject)
    WHERE s.name LIKE 'control.%';
    CREATE TEMP TABLE IF NOT EXISTS stage_key (
        offboarding_id uuid NOT NULL,
        key bytea NOT NULL
    ) ON COMMIT DELETE ROWS;
$$;
COMMENT ON FUNCTION open_stage() IS
    'Makes the session''s temporary tables `stage`, which apply_batch() reads, and `stage_key`, for take_keys(), and the view `staged_control`.';

-- COPY brings them, as parameters of statements may be written into the server's log.
CREATE FUNCTION take_keys() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    said bytea := (SELECT hmac('offboard check'::bytea, s.key, 'sha256') FROM stage_key s
                   WHERE s.offboarding_id = '00000000-0000-0000-0000-000000000000' LIMIT 1);
BEGIN
    INSERT INTO key_check (digest) SELECT said WHERE said IS NOT NULL ON CONFLICT DO NOTHING;
    IF said IS NOT NULL AND NOT EXISTS (SELECT FROM key_check c WHERE c.digest = said) THEN
        RAISE EXCEPTION USING ERRCODE = 'OB003',
            MESSAGE = 'the topic of keys is not the one that this database belongs to: restore the topic, or DELETE FROM key_check when its keys are lost for good';
    END IF;
    INSERT INTO personal_key (offboarding_id, key)
    SELECT DISTINCT ON (s.offboarding_id) s.offboarding_id, s.key
    FROM stage_key s
    WHERE NOT EXISTS (SELECT FROM offboarding o WHERE o.id = s.offboarding_id AND o.erased_at IS NOT NULL)
    ORDER BY s.offboarding_id
    ON CONFLICT (offboarding_id) DO NOTHING;
END
$$;
COMMENT ON FUNCTION take_keys() IS
    'Staged keys go into personal_key, but for offboardings that were erased; those that are there stay. SQLSTATE OB003: they are of another topic of keys.';

-- After a restore, or when somebody has deleted a key that was still in use: such an offboarding would hold everybody up.
CREATE FUNCTION keyless_offboardings() RETURNS SETOF uuid
LANGUAGE sql STABLE AS $$
    SELECT o.id
    FROM (SELECT i.id FROM offboarding i WHERE i.status IN ('waiting', 'held', 'initiated')
          UNION SELECT w.offboarding_id FROM open_job w WHERE w.state = 'ready') c
         JOIN offboarding o ON o.id = c.id
    WHERE o.erased_at IS NULL AND NOT EXISTS (SELECT FROM personal_key k WHERE k.offboarding_id = o.id)
$$;
COMMENT ON FUNCTION keyless_offboardings() IS 'Offboardings of which something is still to happen, and whose keys are not there.';

CREATE FUNCTION id_of(subject text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN subject ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN subject::uuid END
$$;
COMMENT ON FUNCTION id_of(text) IS 'The text as a uuid, in whatever case it is written; null where it is none.';

-- ---- people ---------------------------------------------------------------------------------------------------------

-- As the planner has it (lib/fold.h): JÖRG@ and jörg@ are one, written with one character for the ö or with two.
CREATE FUNCTION folded(address text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN lower(normalize(address, NFC) COLLATE "und-x-icu");
COMMENT ON FUNCTION folded(text) IS 'An e-mail as it is compared: in NFC and in lower case.';

CREATE FUNCTION person_keys(leaver jsonb, given_ids jsonb DEFAULT NULL) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_remove(
        ARRAY[folded(leaver ->> 'email'), leaver ->> 'employee_id']
        || CASE WHEN jsonb_typeof(leaver -> 'emails') = 'array'
                THEN ARRAY(SELECT folded(e) FROM jsonb_array_elements_text(leaver -> 'emails') e) ELSE '{}' END
        || CASE WHEN leaver ->> 'email' IS NULL AND leaver ->> 'employee_id' IS NULL AND jsonb_typeof(given_ids) = 'object'
                THEN ARRAY(SELECT g.key || ':' || a.id FROM jsonb_each(given_ids) g
                                CROSS JOIN jsonb_array_elements_text(
                                    CASE jsonb_typeof(g.value) WHEN 'array' THEN g.value ELSE '[]' END) a (id))
                ELSE '{}' END, NULL)
$$;
COMMENT ON FUNCTION person_keys(jsonb, jsonb) IS
    'What a leaver is known by: e-mails in lower case, employee id; with neither, the accounts that the event named.';

CREATE FUNCTION note_person(affected uuid[]) RETURNS void
LANGUAGE sql AS $$
    WITH wanted AS MATERIALIZED (
        SELECT DISTINCT o.id, d.digest
        FROM offboarding o
             CROSS JOIN LATERAL (SELECT personal_of(o) OFFSET 0) AS x (p)
             CROSS JOIN LATERAL unnest(person_digests(person_keys(p -> 'leaver', p #> '{extra,given_ids}'))) AS d (digest)
        WHERE o.id = ANY (affected)),
    former AS (
        DELETE FROM person_key k
        WHERE k.offboarding_id = ANY (affected)
          AND NOT EXISTS (SELECT FROM wanted w WHERE w.id = k.offboarding_id AND w.digest = k.digest))
    INSERT INTO person_key (digest, offboarding_id) SELECT digest, id FROM wanted ON CONFLICT DO NOTHING
$$;
COMMENT ON FUNCTION note_person(uuid[]) IS 'Whom these offboardings are about becomes rows of person_key, in place of those that are there.';

CREATE FUNCTION subject_of(subject text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN id_of(subject) IS NOT NULL THEN subject ELSE encode((person_digests(ARRAY[subject]))[1], 'hex') END;
COMMENT ON FUNCTION subject_of(text) IS 'What a cancellation is about, as it is kept: an offboarding''s id, or the digest of a key of a person.';

CREATE FUNCTION sealed_leaver(offboarding_id uuid, leaver jsonb, ids jsonb, extra jsonb) RETURNS bytea
LANGUAGE plpgsql PARALLEL SAFE AS $$
BEGIN
    IF jsonb_typeof(leaver) IS DISTINCT FROM 'object' OR jsonb_typeof(ids) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'user and ids of an offboarding must be objects';
    END IF;
    RETURN sealed(offboarding_id, jsonb_build_object('leaver', leaver, 'ids', ids, 'extra', extra)::text);
END
$$;
COMMENT ON FUNCTION sealed_leaver(uuid, jsonb, jsonb, jsonb) IS 'The personal data of an offboarding, sealed.';

CREATE FUNCTION merge_objects(a jsonb, b jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF jsonb_typeof(a) IS DISTINCT FROM 'object' OR jsonb_typeof(b) IS DISTINCT FROM 'object' THEN
        RETURN coalesce(b, a);
    END IF;
    RETURN a || coalesce((SELECT jsonb_object_agg(m.key, merge_objects(a -> m.key, m.value)) FROM jsonb_each(b) m), '{}');
END
$$;
COMMENT ON FUNCTION merge_objects(jsonb, jsonb) IS 'The first object with the members of the second, objects within merged alike.';

-- ---- events that change no offboarding ------------------------------------------------------------------------------

CREATE FUNCTION staged_person(name text, offboarding_id uuid, body jsonb) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN offboarding_id IS NULL AND name IN ('intake', 'control.cancel', 'control.uncancel')
            THEN (person_digests(ARRAY[CASE name WHEN 'intake' THEN body #>> '{context,person}' ELSE substr(body ->> 'key', 8) END]))[1] END;
COMMENT ON FUNCTION staged_person(text, uuid, jsonb) IS 'Digest of the person whom a staged event without an offboarding names; null: none.';

CREATE FUNCTION apply_records() RETURNS void
LANGUAGE sql AS $$
    INSERT INTO definition (hash, kind, name, text, file, published_by, published_at)
    SELECT DISTINCT ON (c ->> 'hash') c ->> 'hash', c ->> 'kind', c ->> 'name', c ->> 'text', c ->> 'file', s.published_by,
           s.occurred_at
    FROM stage s CROSS JOIN LATERAL (SELECT s.body -> 'context' OFFSET 0) AS x (c)
    WHERE s.name = 'definition'
    ORDER BY c ->> 'hash', s.seq
    ON CONFLICT DO NOTHING;

    INSERT INTO intake (id, source, source_event_id, type, event_time, received_at, disposition, offboarding_id, topic, kafka_partition,
                        kafka_offset, person, reason, criterion, data, personal, person_digest)
    SELECT DISTINCT ON (s.id) s.id, c #>> '{event,source}', c #>> '{event,id}', c #>> '{event,type}',
           (c #>> '{event,time}')::timestamptz, coalesce((c ->> 'received_at')::timestamptz, s.occurred_at),
           c ->> 'disposition', s.offboarding_id,
           c #>> '{record,topic}', (c #>> '{record,partition}')::integer, (c #>> '{record,offset}')::bigint,
           loose ->> 'person', loose ->> 'reason', nullif(loose -> 'criterion', 'null'), nullif(loose -> 'data', 'null'),
           CASE WHEN s.offboarding_id IS NOT NULL
                THEN sealed(s.offboarding_id, jsonb_build_object('person', c -> 'person', 'reason', c -> 'reason',
                                                                 'criterion', c -> 'criterion', 'data', c -> 'data')::text) END,
           staged_person(s.name, s.offboarding_id, s.body)
    FROM stage s
         CROSS JOIN LATERAL (SELECT s.body -> 'context' OFFSET 0) AS x (c)
         CROSS JOIN LATERAL (SELECT CASE WHEN s.offboarding_id IS NULL THEN c END) AS y (loose)
    WHERE s.name = 'intake'
    ORDER BY s.id, s.seq
    ON CONFLICT DO NOTHING;
$$;
COMMENT ON FUNCTION apply_records() IS 'Staged definitions and intake events become rows; the first of an id counts.';

CREATE FUNCTION apply_systems() RETURNS void
LANGUAGE sql AS $$
    INSERT INTO system_state (system, state, since, status_code, why)
    SELECT DISTINCT ON (c ->> 'system') c ->> 'system', substr(s.name, 8), (c ->> 'since')::timestamptz,
           (s.body #>> '{response,statusCode}')::integer, nullif(s.body #>> '{response,message}', '')
    FROM stage s CROSS JOIN LATERAL (SELECT s.body -> 'context' OFFSET 0) AS x (c)
    WHERE s.name IN ('system.up', 'system.down', 'system.refused', 'system.throttled') AND c ->> 'system' IS NOT NULL
    ORDER BY c ->> 'system', s.seq DESC
    ON CONFLICT (system) DO UPDATE
    SET state = excluded.state, since = excluded.since, status_code = excluded.status_code, why = excluded.why;

    INSERT INTO system_state (system, unattended_since)
    SELECT DISTINCT ON (c ->> 'system') c ->> 'system', CASE s.name WHEN 'system.unattended' THEN (c ->> 'since')::timestamptz END
    FROM stage s CROSS JOIN LATERAL (SELECT s.body -> 'context' OFFSET 0) AS x (c)
    WHERE s.name IN ('system.unattended', 'system.attended') AND c ->> 'system' IS NOT NULL
    ORDER BY c ->> 'system', s.seq DESC
    ON CONFLICT (system) DO UPDATE SET unattended_since = excluded.unattended_since;
$$;
COMMENT ON FUNCTION apply_systems() IS 'Staged `system.*` events: how systems are; the latest word counts.';

-- Whom the vendor lets in again by the time this is recorded asks for nothing any more.
CREATE FUNCTION apply_pause_wishes() RETURNS void
LANGUAGE sql AS $$
    WITH last AS MATERIALIZED (
        SELECT DISTINCT ON (c ->> 'system') c ->> 'system' AS system, s.name, nullif(s.body #>> '{response,message}', '') AS why
        FROM stage s CROSS JOIN LATERAL (SELECT s.body -> 'context' OFFSET 0) AS x (c)
        WHERE s.name IN ('system.pause', 'system.up') AND c ->> 'system' IS NOT NULL
        ORDER BY c ->> 'system', s.seq DESC),
    withdrawn AS (
        DELETE FROM pause_wanted w USING last l WHERE w.system = l.system AND l.name = 'system.up')
    INSERT INTO pause_wanted (system, reason)
    SELECT l.system, coalesce(l.why, 'the system refuses our credentials') FROM last l
    WHERE l.name = 'system.pause' AND NOT EXISTS (SELECT FROM system_pause p WHERE p.system = l.system)
    ON CONFLICT (system) DO NOTHING;
    SELECT pg_notify('due', '') WHERE EXISTS (SELECT FROM stage WHERE name = 'system.pause')
$$;
COMMENT ON FUNCTION apply_pause_wishes() IS 'Staged `system.pause` events: the scheduler is to pause the system for all its workers.';

-- Of several records about one subject the last one says how things are.
CREATE FUNCTION apply_pauses() RETURNS void
LANGUAGE sql AS $$
    WITH last AS MATERIALIZED (
        SELECT DISTINCT ON (c.subject) c.subject, c.name, c.value, c.occurred_at
        FROM staged_control c WHERE c.name IN ('control.pause', 'control.resume') ORDER BY c.subject, c.seq DESC),
    resumed AS (
        DELETE FROM system_pause p USING last l WHERE p.system = l.subject AND l.name = 'control.resume'),
    answered AS (
        DELETE FROM pause_wanted w USING last l WHERE w.system = l.subject),
    vain AS (
        UPDATE stage s SET note = 'unchanged: the system was not paused'
        FROM staged_control c
        WHERE s.seq = c.seq AND c.name = 'control.resume' AND s.note IS NULL
          AND coalesce((SELECT b.name = 'control.resume' FROM staged_control b
                        WHERE b.subject = c.subject AND b.name IN ('control.pause', 'control.resume') AND b.seq < c.seq
                        ORDER BY b.seq DESC LIMIT 1),
                       NOT EXISTS (SELECT FROM system_pause p WHERE p.system = c.subject)))
    INSERT INTO system_pause (system, reason, actor, paused_at)
    SELECT subject, value ->> 'reason', nullif(value -> 'actor', 'null'), occurred_at FROM last WHERE name = 'control.pause'
    ON CONFLICT (system) DO UPDATE
    SET reason = excluded.reason, actor = excluded.actor, paused_at = excluded.paused_at
$$;
COMMENT ON FUNCTION apply_pauses() IS 'Staged control records: which systems are paused.';

-- An older time does not replace a newer one: the planner writes the time of HR's event, perhaps after an order that came later.
CREATE FUNCTION apply_cancellations() RETURNS void
LANGUAGE sql AS $$
    WITH control AS MATERIALIZED (
        SELECT c.seq, c.id, c.name, subject_of(c.subject) AS subject, c.value, c.occurred_at
        FROM staged_control c WHERE c.name IN ('control.cancel', 'control.uncancel')),
    subjects AS MATERIALIZED (
        SELECT c.subject, max(c.seq) FILTER (WHERE c.name = 'control.uncancel') AS withdrawn
        FROM control c GROUP BY c.subject),
    last AS MATERIALIZED ( -- of what came since the last tombstone, the cancellation with the latest time; else the tombstone
        SELECT DISTINCT ON (c.subject) c.subject, c.id, c.name, c.value, c.occurred_at
        FROM control c JOIN subjects k ON k.subject = c.subject AND c.seq >= coalesce(k.withdrawn, c.seq)
        ORDER BY c.subject, c.name = 'control.cancel' DESC, c.occurred_at DESC, c.seq DESC),
    withdrawn AS (
        DELETE FROM cancellation k USING last l WHERE k.subject = l.subject AND l.name = 'control.uncancel')
    INSERT INTO cancellation (subject, reason, actor, cancelled_at, duplicate_of, record)
    SELECT subject, value ->> 'reason', nullif(value -> 'actor', 'null'), occurred_at, (value ->> 'duplicate_of')::uuid, id
    FROM last WHERE name = 'control.cancel'
    ON CONFLICT (subject) DO UPDATE
    SET reason = excluded.reason, actor = excluded.actor, cancelled_at = excluded.cancelled_at, duplicate_of = excluded.duplicate_of,
        record = excluded.record
    WHERE excluded.cancelled_at >= cancellation.cancelled_at
       OR excluded.subject IN (SELECT k.subject FROM subjects k WHERE k.withdrawn IS NOT NULL)
$$;
COMMENT ON FUNCTION apply_cancellations() IS 'Staged control records: which offboardings and persons are cancelled.';

-- All of a batch at once and by index: after an error of the HR feed there are tens of thousands.
CREATE FUNCTION cancel_staged() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    named uuid[];
    reasons text[];
    duplicates uuid[];
    records uuid[];
BEGIN
    WITH named AS (
        SELECT o.id, c.seq, c.value ->> 'reason' AS reason, (c.value ->> 'duplicate_of')::uuid AS duplicate_of, c.id AS record
        FROM staged_control c JOIN offboarding o ON o.id = id_of(c.subject)
        WHERE c.name = 'control.cancel' AND o.status IN ('waiting', 'held', 'initiated')
        UNION ALL
        SELECT o.id, c.seq, c.value ->> 'reason', NULL, c.id
        FROM staged_control c
             CROSS JOIN LATERAL (SELECT (person_digests(ARRAY[c.subject]))[1] OFFSET 0) AS d (digest)
             JOIN person_key k ON k.digest = d.digest
             JOIN offboarding o ON o.id = k.offboarding_id AND o.status IN ('waiting', 'held', 'initiated')
        WHERE c.name = 'control.cancel' AND o.received_at <= c.occurred_at),
    first AS (SELECT DISTINCT ON (id) id, reason, duplicate_of, record FROM named ORDER BY id, seq),
    vain AS (
        UPDATE stage s
        SET note = coalesce(CASE WHEN o.status = 'cancelled' THEN 'unchanged: the offboarding was cancelled before'
                                 ELSE 'refused: the offboarding is ' || o.status END,
                            CASE WHEN id_of(c.subject) IS NULL THEN 'refused: the person has no open offboarding'
                                 ELSE 'refused: unknown offboarding; if it is recorded later, it is cancelled then' END)
        FROM staged_control c LEFT JOIN offboarding o ON o.id = id_of(c.subject)
        WHERE c.name = 'control.cancel' AND s.seq = c.seq AND c.value #>> '{actor,kind}' = 'token' -- HR's are told by intake
          AND s.note IS NULL AND NOT EXISTS (SELECT FROM named n WHERE n.seq = c.seq))
    SELECT array_agg(id ORDER BY id), array_agg(reason ORDER BY id), array_agg(duplicate_of ORDER BY id),
           array_agg(record ORDER BY id)
    INTO named, reasons, duplicates, records FROM first;
    IF named IS NOT NULL THEN
        PERFORM FROM offboarding WHERE id = ANY (named) ORDER BY id FOR NO KEY UPDATE;
        PERFORM cancel_offboardings(named, reasons, duplicates, records);
    END IF;
END
$$;
COMMENT ON FUNCTION cancel_staged() IS 'Staged control records: cancels the offboardings that they name, by id or by a key of the person.';

CREATE FUNCTION apply_control() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM staged_control) THEN
        PERFORM apply_pauses();
        PERFORM apply_cancellations();
        PERFORM cancel_staged();
    END IF;
END
$$;
COMMENT ON FUNCTION apply_control() IS 'Staged control records: pauses, and cancellations of offboardings and persons.';

-- ---- signals --------------------------------------------------------------------------------------------------------

-- Who waits and who speaks come in different partitions, perhaps at two loggers: whoever is second must see the first.
CREATE FUNCTION lock_subjects() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    subject bigint;
BEGIN
    FOR subject IN
        SELECT DISTINCT hashtextextended(x.name || E'\n' || x.key, 0)
        FROM stage s
             CROSS JOIN LATERAL (
                 SELECT s.body #>> '{context,signal,name}', s.body #>> '{context,signal,key}' WHERE s.name = 'signal'
                 UNION ALL
                 SELECT s.body #>> '{context,waits,signal}', s.body #>> '{context,waits,key}' WHERE s.name = 'job.deferred') x (name, key)
        WHERE x.name IS NOT NULL AND x.key IS NOT NULL ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock(subject);
    END LOOP;
END
$$;
COMMENT ON FUNCTION lock_subjects() IS
    'Locks, until the end of the transaction and in order, what the staged signals are about and what the staged jobs wait for.';

-- With its owner's rights, as the logger's role deletes nothing from due. A row that the scheduler holds is about to be published.
CREATE FUNCTION withdraw_due(jobs uuid[], after timestamptz DEFAULT '-infinity') RETURNS SETOF uuid
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM due WHERE ctid = ANY (ARRAY(
        SELECT d.ctid
        FROM job j LEFT JOIN awaited a ON a.job_id = j.id
             JOIN due d ON d.due_at IN (j.due_at, a.woken_at) AND d.job_id = j.id AND d.attempt = j.attempt
        WHERE j.id = ANY (jobs) AND j.state = 'ready' AND d.due_at > after
        FOR UPDATE OF d SKIP LOCKED))
    RETURNING job_id
$$;
COMMENT ON FUNCTION withdraw_due(uuid[], timestamptz) IS
    'Takes out of due the jobs that were to be published after that moment, and returns which: what has been published already may be running.';

-- A job rests while its row is in due. One that has been published is not published again: when its worker puts it off, unheard()
-- finds the signal. It locks no job, as the job's offboarding may be another logger's.
CREATE FUNCTION apply_signals() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    called uuid[];
    woken uuid[];
BEGIN
    WITH fresh AS (
        INSERT INTO signal (id, name, key, source, actor, data, received_at)
        SELECT DISTINCT ON (c ->> 'id') (c ->> 'id')::uuid, c ->> 'name', c ->> 'key', c ->> 'source', nullif(c -> 'actor', 'null'),
               nullif(c -> 'data', 'null'), coalesce((c ->> 'received_at')::timestamptz, s.occurred_at)
        FROM stage s CROSS JOIN LATERAL (SELECT s.body #> '{context,signal}' OFFSET 0) AS x (c)
        WHERE s.name = 'signal'
        ORDER BY c ->> 'id', s.seq
        ON CONFLICT DO NOTHING
        RETURNING name, key)
    SELECT array_agg(DISTINCT a.job_id) INTO called FROM fresh f JOIN awaited a ON a.signal = f.name AND a.key = f.key;
    woken := ARRAY(SELECT withdraw_due(called, now()));
    UPDATE awaited SET woken_at = now() WHERE job_id = ANY (woken);
    INSERT INTO due (due_at, offboarding_id, job_id, attempt)
    SELECT now(), j.offboarding_id, j.id, j.attempt FROM job j WHERE j.id = ANY (woken);
    UPDATE stage s SET note = 'no job waits for it yet'
    FROM stage t CROSS JOIN LATERAL (SELECT t.body #>> '{context,signal,name}', t.body #>> '{context,signal,key}') AS x (signal, key)
    WHERE t.name = 'signal' AND s.seq = t.seq
      AND NOT EXISTS (SELECT FROM awaited a JOIN job j ON j.id = a.job_id AND j.state = 'ready'
                      WHERE a.signal = x.signal AND a.key = x.key);
END
$$;
COMMENT ON FUNCTION apply_signals() IS
    'Staged signals become rows, and the jobs that rest and wait for them are due. One that none waits for is noted: it counts for those that begin to wait later.';

CREATE FUNCTION unheard(waits jsonb) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (SELECT FROM signals_about(waits ->> 'signal', waits ->> 'key') s WHERE (waits -> 'heard' ? s.id::text) IS NOT TRUE);
COMMENT ON FUNCTION unheard(jsonb) IS 'Has a signal come that a job waits for and has not heard? `waits` is that of its job.deferred event.';

CREATE FUNCTION apply_waits(w integer) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO awaited (job_id, signal, key)
    SELECT s.job_id, c #>> '{waits,signal}', c #>> '{waits,key}'
    FROM stage s
         CROSS JOIN LATERAL (SELECT s.body -> 'context' OFFSET 0) AS x (c)
         JOIN job j ON j.id = s.job_id AND j.offboarding_id = s.offboarding_id
    WHERE s.wave = w AND s.name = 'job.deferred' AND s.note IS NULL AND c #>> '{waits,key}' IS NOT NULL AND c #>> '{waits,signal}' IS NOT NULL
    ON CONFLICT (job_id) DO UPDATE SET signal = excluded.signal, key = excluded.key, woken_at = NULL
$$;
COMMENT ON FUNCTION apply_waits(integer) IS 'What the jobs that were put off in a wave wait for.';

-- ---- answers that come before their offboarding ----------------------------------------------------------------------

-- Answers stand on other topics than `initiated`, so either may be read first.
CREATE FUNCTION early_answers() RETURNS SETOF integer
LANGUAGE sql STABLE AS $$
    SELECT s.seq FROM stage s
    WHERE s.wave IS NOT NULL AND s.name LIKE 'job.%' AND s.name <> 'job.lost'
      AND NOT EXISTS (SELECT FROM offboarding o WHERE o.id = s.offboarding_id)
      AND NOT EXISTS (SELECT FROM stage i WHERE i.name = 'initiated' AND i.offboarding_id = s.offboarding_id)
$$;
COMMENT ON FUNCTION early_answers() IS 'Staged answers (seq) of offboardings that are neither recorded nor staged.';

-- The lock: of one logger that records an offboarding and another that sets its answer aside, the second sees what the first did. It
-- comes before any other lock but that of the offsets, and is never raised.
CREATE FUNCTION set_early_aside() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM early_answers()) THEN
        PERFORM pg_advisory_xact_lock(hashtext('offboard early answers'));
        WITH early AS (
            UPDATE stage SET wave = NULL, note = 'early: its offboarding is not recorded yet; it counts from then on'
            WHERE seq IN (SELECT early_answers())
            RETURNING id, offboarding_id, job_id, name, occurred_at, topic, kafka_partition, kafka_offset,
                      coalesce(sealed, sealed(offboarding_id, raw::text)))
        INSERT INTO early_result (event_id, offboarding_id, job_id, name, occurred_at, topic, kafka_partition, kafka_offset, sealed)
        SELECT * FROM early;
    ELSIF EXISTS (SELECT FROM stage WHERE name = 'initiated') THEN
        PERFORM pg_advisory_xact_lock_shared(hashtext('offboard early answers'));
    END IF;
END
$$;
COMMENT ON FUNCTION set_early_aside() IS 'Staged answers whose offboarding is not known yet become rows of early_result, and change nothing now.';

CREATE FUNCTION take_up_early(w integer, fresh uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM early_result WHERE offboarding_id = ANY (fresh) AND applied_at IS NULL) THEN
        RETURN;
    END IF;
    UPDATE stage s SET wave = s.wave + e.count
    FROM (SELECT offboarding_id, count(*) FROM early_result WHERE offboarding_id = ANY (fresh) AND applied_at IS NULL GROUP BY 1) e
    WHERE s.offboarding_id = e.offboarding_id AND s.wave > w;
    WITH taken AS (
        UPDATE early_result SET applied_at = now() WHERE offboarding_id = ANY (fresh) AND applied_at IS NULL RETURNING *)
    INSERT INTO stage (seq, wave, topic, kafka_partition, kafka_offset, id, name, occurred_at, offboarding_id, job_id, raw, early)
    SELECT (SELECT max(s.seq) FROM stage s) + row_number() OVER (ORDER BY t.recorded_at, t.topic, t.kafka_partition, t.kafka_offset),
           w + row_number() OVER (PARTITION BY t.offboarding_id ORDER BY t.recorded_at, t.topic, t.kafka_partition, t.kafka_offset),
           t.topic, t.kafka_partition, t.kafka_offset, t.event_id, t.name, t.occurred_at, t.offboarding_id, t.job_id,
           opened(t.offboarding_id, t.sealed, true)::json, true
    FROM taken t;
END
$$;
COMMENT ON FUNCTION take_up_early(integer, uuid[]) IS
    'The early answers of offboardings that a wave has made are staged in the waves that follow it; those of the batch come after them.';

CREATE FUNCTION note_early() RETURNS void
LANGUAGE sql AS $$
    UPDATE early_result e SET note = s.note, sealed = NULL
    FROM stage s
    WHERE s.early AND e.topic = s.topic AND e.kafka_partition = s.kafka_partition AND e.kafka_offset = s.kafka_offset
$$;
COMMENT ON FUNCTION note_early() IS 'What became of early answers that were applied; their text is in event.';

-- ---- initiated ------------------------------------------------------------------------------------------------------

CREATE FUNCTION make_phases(fresh uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO phase (offboarding_id, name, position, beside, ends_access, after, after_us)
    SELECT o.id, p.phase ->> 'name', p.position, coalesce((p.phase ->> 'beside')::boolean, false),
           coalesce((p.phase ->> 'ends_access')::boolean, false), p.phase ->> 'after', coalesce((p.phase ->> 'after_us')::bigint, 0)
    FROM offboarding o
         CROSS JOIN LATERAL jsonb_array_elements(o.plan -> 'phases') WITH ORDINALITY AS p (phase, position)
    WHERE o.id = ANY (fresh);
END
$$;
COMMENT ON FUNCTION make_phases(uuid[]) IS 'Rows of the phases of new offboardings, from their plans.';

CREATE FUNCTION make_jobs(fresh uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    WITH planned AS MATERIALIZED (
        SELECT o.id AS offboarding_id, p.phase ->> 'name' AS phase, s.step,
               row_number() OVER (PARTITION BY o.id ORDER BY p.position, s.position) AS position
        FROM offboarding o
             CROSS JOIN LATERAL jsonb_array_elements(o.plan -> 'phases') WITH ORDINALITY AS p (phase, position)
             CROSS JOIN LATERAL jsonb_array_elements(p.phase -> 'steps') WITH ORDINALITY AS s (step, position)
        WHERE o.id = ANY (fresh)),
    named AS MATERIALIZED (
        SELECT offboarding_id, jsonb_object_agg(step ->> 'id', step ->> 'job_id') AS job_ids
        FROM planned GROUP BY offboarding_id)
    INSERT INTO job (id, offboarding_id, phase, step, position, system, action, effect, needs, run_when, after_us, spec)
    SELECT (t.step ->> 'job_id')::uuid, t.offboarding_id, t.phase, t.step ->> 'id', t.position, t.step ->> 'system',
           t.step ->> 'action', t.step ->> 'effect',
           CASE WHEN jsonb_typeof(t.step -> 'needs') = 'array'
                THEN ARRAY(SELECT (n.job_ids ->> need)::uuid FROM jsonb_array_elements_text(t.step -> 'needs') need)
                ELSE '{}' END,
           coalesce(t.step ->> 'when', 'on_success'), coalesce((t.step ->> 'after_us')::bigint, 0), t.step
    FROM planned t JOIN named n USING (offboarding_id);
END
$$;
COMMENT ON FUNCTION make_jobs(uuid[]) IS 'Rows of the jobs of new offboardings, from their plans; all waiting.';

CREATE FUNCTION make_followers(fresh uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO follower (offboarding_id, name, kind, spec, needs)
    SELECT o.id, f.spec ->> 'name', f.spec ->> 'kind', f.spec,
           ARRAY(SELECT j.id FROM job j WHERE j.offboarding_id = o.id AND f.spec -> 'needs' ? j.step ORDER BY j.position)
    FROM offboarding o CROSS JOIN LATERAL jsonb_array_elements(coalesce(o.plan -> 'followers', '[]')) AS f (spec)
    WHERE o.id = ANY (fresh);
END
$$;
COMMENT ON FUNCTION make_followers(uuid[]) IS 'Rows of the followers of new offboardings, from their plans.';

CREATE FUNCTION apply_initiated(w integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    fresh uuid[];
    cancelled uuid[];
    reasons text[];
    duplicates uuid[];
    records uuid[];
    starts start[];
BEGIN
    WITH made AS (
        INSERT INTO offboarding (id, status, reason, runbook, source, mode, priority, personal, actor, event, event_at,
                                 zone, received_at, effective_at, plan, traceparent)
        SELECT s.offboarding_id, CASE c ->> 'status' WHEN 'held' THEN 'held' ELSE 'waiting' END,
               CASE c ->> 'status' WHEN 'held'
                                   THEN sealed(s.offboarding_id, coalesce(c ->> 'reason', s.body #>> '{response,message}')) END,
               o ->> 'runbook', o ->> 'source', coalesce(o ->> 'mode', 'live'), coalesce(o ->> 'priority', 'normal'),
               sealed_leaver(s.offboarding_id, o -> 'user', coalesce(nullif(o -> 'ids', 'null'), '{}'),
                             o - '{version,id,user,ids,actor,status,runbook,source,event,received_at,started_at,effective_at,zone,mode,priority}'::text[]),
               nullif(o -> 'actor', 'null'),
               nullif(o -> 'event', 'null'), (o #>> '{event,time}')::timestamptz, o ->> 'zone',
               coalesce((o ->> 'received_at')::timestamptz, s.occurred_at),
               (o ->> 'effective_at')::timestamptz, c -> 'plan', s.traceparent
        FROM stage s CROSS JOIN LATERAL (SELECT s.body -> 'context', s.body #> '{context,offboarding}' OFFSET 0) AS x (c, o)
        WHERE s.wave = w AND s.name = 'initiated'
        ORDER BY s.offboarding_id
        ON CONFLICT (id) DO NOTHING
        RETURNING id)
    SELECT coalesce(array_agg(id), '{}') INTO fresh FROM made;
    UPDATE stage SET note = 'repeated: the first one counts'
    WHERE wave = w AND name = 'initiated' AND offboarding_id <> ALL (fresh);
    INSERT INTO person_key (digest, offboarding_id)
    SELECT DISTINCT d.digest, s.offboarding_id
    FROM stage s CROSS JOIN LATERAL (SELECT s.body #> '{context,offboarding}' OFFSET 0) AS x (o)
         CROSS JOIN LATERAL unnest(person_digests(person_keys(o -> 'user', o -> 'given_ids'))) AS d (digest)
    WHERE s.wave = w AND s.name = 'initiated' AND s.offboarding_id = ANY (fresh);
    PERFORM make_phases(fresh);
    PERFORM make_jobs(fresh);
    PERFORM make_followers(fresh);
    -- An order to cancel may have come first: it travels on another topic.
    SELECT array_agg(o.id), array_agg(c.reason), array_agg(c.duplicate_of), array_agg(c.record)
    INTO cancelled, reasons, duplicates, records
    FROM offboarding o
         CROSS JOIN LATERAL (
             SELECT k.reason, k.duplicate_of, k.record FROM cancellation k
             WHERE k.subject = ANY (ARRAY(SELECT encode(p.digest, 'hex') FROM person_key p WHERE p.offboarding_id = o.id) || o.id::text)
               AND (k.subject = o.id::text OR o.received_at <= k.cancelled_at)
             ORDER BY k.cancelled_at LIMIT 1) c
    WHERE o.id = ANY (fresh);
    PERFORM cancel_offboardings(cancelled, reasons, duplicates, records) WHERE cancelled IS NOT NULL;
    SELECT array_agg(ROW(s.offboarding_id, coalesce((s.body #>> '{context,offboarding,started_at}')::timestamptz, s.occurred_at),
                         ARRAY(SELECT p::uuid FROM jsonb_array_elements_text(s.body #> '{context,published}') p))::start)
    INTO starts
    FROM stage s JOIN offboarding o ON o.id = s.offboarding_id AND o.status = 'waiting'
    WHERE s.wave = w AND s.name = 'initiated' AND s.offboarding_id = ANY (fresh) AND s.body #>> '{context,status}' = 'initiated';
    PERFORM start_offboardings(starts) WHERE starts IS NOT NULL;
    PERFORM wait_until_effective(fresh);
    PERFORM take_up_early(w, fresh);
END
$$;
COMMENT ON FUNCTION apply_initiated(integer) IS
    'Staged `initiated` events of a wave: new offboardings with phases and jobs, started, waiting or held.';

-- ---- what workers say -----------------------------------------------------------------------------------------------

CREATE FUNCTION not_its_job(system text, said text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN system IS DISTINCT FROM said
            THEN format('not believed: the job is of %s, and the worker of %s speaks of it', system, coalesce(said, 'no system')) END;
COMMENT ON FUNCTION not_its_job(text, text) IS
    'Why the answer of that system''s worker to a job of this system is not believed; null when they are the same. Kafka''s rights, and the logger, see to it that a worker speaks for its own system only.';

CREATE FUNCTION with_facts(o offboarding, system text, context jsonb) RETURNS bytea
LANGUAGE sql AS $$
    SELECT sealed_leaver(
        o.id,
        CASE WHEN jsonb_typeof(context #> '{provides,user}') = 'object'
             THEN merge_objects(p -> 'leaver', context #> '{provides,user}') ELSE p -> 'leaver' END,
        CASE WHEN jsonb_typeof(context #> ARRAY['pinned', system]) = 'array'
             THEN (p -> 'ids') || jsonb_build_object(system, context #> ARRAY['pinned', system]) ELSE p -> 'ids' END,
        p -> 'extra')
    FROM (SELECT personal_of(o) OFFSET 0) AS x (p)
$$;
COMMENT ON FUNCTION with_facts(offboarding, text, jsonb) IS
    'The personal data of an offboarding with the accounts that a job of this system pinned, and what it provided of the leaver; sealed.';

CREATE FUNCTION apply_facts(w integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    renamed uuid[];
BEGIN
    WITH known AS (
        UPDATE offboarding o SET personal = with_facts(o, j.system, c)
        FROM stage s
             CROSS JOIN LATERAL (SELECT s.body -> 'context' OFFSET 0) AS x (c)
             JOIN job j ON j.id = s.job_id AND j.offboarding_id = s.offboarding_id
        WHERE s.wave = w AND s.name LIKE 'job.%' AND o.id = s.offboarding_id AND o.erased_at IS NULL AND j.system = c ->> 'system'
          AND (jsonb_typeof(c -> 'pinned') = 'object' OR jsonb_typeof(c #> '{provides,user}') = 'object')
        RETURNING o.id, c #> '{provides,user}' ?| '{email,emails,employee_id}' AS named)
    SELECT array_agg(id) INTO renamed FROM known WHERE named;
    PERFORM note_person(renamed) WHERE renamed IS NOT NULL;
END
$$;
COMMENT ON FUNCTION apply_facts(integer) IS
    'What jobs of a wave found out: pinned accounts and provided user data, for all later jobs of the offboarding.';

CREATE FUNCTION apply_before_images(w integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE stage s SET note = CASE WHEN j.id IS NULL THEN 'unknown job' ELSE not_its_job(j.system, t.body #>> '{context,system}') END
    FROM stage t LEFT JOIN job j ON j.id = t.job_id AND j.offboarding_id = t.offboarding_id
    WHERE t.wave = w AND t.name = 'job.before' AND s.seq = t.seq;
    PERFORM keep_before_images(array_agg(s.job_id), array_agg(s.body #> '{context,before}'))
    FROM stage s WHERE s.wave = w AND s.name = 'job.before' AND s.note IS NULL
    HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION apply_before_images(integer) IS 'Staged `job.before` events of a wave: what undoing the job would put back.';

CREATE FUNCTION apply_open_items(w integer) RETURNS void
LANGUAGE sql AS $$
    WITH told AS (
        SELECT DISTINCT ON (j.offboarding_id, j.system, k.kind) j.offboarding_id, j.id AS job_id, j.step, j.system, k.kind, k.body
        FROM stage s
             JOIN job j ON j.id = s.job_id AND j.offboarding_id = s.offboarding_id
             CROSS JOIN LATERAL jsonb_each(s.body #> '{context,open}') k (kind, body)
        WHERE s.wave = w AND s.name IN ('job.succeeded', 'job.already_done') AND s.note IS NULL
          AND jsonb_typeof(s.body #> '{context,open}') = 'object'
        ORDER BY j.offboarding_id, j.system, k.kind, s.seq DESC),
    closed AS (
        UPDATE open_item i SET closed_at = now(), closed_by = 'step ' || t.step
        FROM told t
        WHERE i.offboarding_id = t.offboarding_id AND i.system = t.system AND i.kind = t.kind AND i.closed_at IS NULL
          AND NOT t.body -> 'items' ? i.item)
    INSERT INTO open_item (offboarding_id, system, kind, item, why, job_id)
    SELECT DISTINCT t.offboarding_id, t.system, t.kind, n.item, coalesce(t.body ->> 'why', ''), t.job_id
    FROM told t CROSS JOIN LATERAL jsonb_array_elements_text(t.body -> 'items') n (item)
    ON CONFLICT (offboarding_id, system, kind, item) DO UPDATE
    SET why = excluded.why, job_id = excluded.job_id, closed_at = NULL, closed_by = NULL
$$;
COMMENT ON FUNCTION apply_open_items(integer) IS
    'What the steps of a wave left in place on purpose. What an earlier step of the system left of the same kind, and this one does not name, is resolved.';

CREATE FUNCTION apply_answers(w integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    changes job_change[];
    affected uuid[];
    missing uuid[];
BEGIN
    PERFORM apply_facts(w);
    WITH said AS (
        SELECT s.seq, s.offboarding_id, s.body, j.id AS job_id, j.system, j.state, j.attempt AS counts,
               (s.body #>> '{context,attempt}')::integer AS attempt, s.body #>> '{context,outcome}' AS outcome,
               outcome_state(s.body #>> '{context,outcome}') AS target
        FROM stage s LEFT JOIN job j ON j.id = s.job_id AND j.offboarding_id = s.offboarding_id
        WHERE s.wave = w AND s.name LIKE 'job.%' AND s.name NOT IN ('job.before', 'job.lost')),
    judged AS MATERIALIZED (
        SELECT *, CASE WHEN job_id IS NULL THEN 'unknown job'
                       WHEN body #>> '{context,system}' IS DISTINCT FROM system
                       THEN not_its_job(system, body #>> '{context,system}')
                       WHEN target IS NULL THEN 'unknown outcome'
                       WHEN job_transition_allowed(state, target) AND target = 'succeeded' THEN NULL
                       WHEN state NOT IN ('waiting', 'ready') THEN 'the job is already ' || state
                       WHEN attempt < counts THEN format('late: attempt %s is over, attempt %s counts', attempt, counts)
                       WHEN state = 'waiting' AND attempt = counts
                       THEN format('late: attempt %s is over, the next one waits for other jobs', attempt)
                  END AS note
        FROM said),
    noted AS (
        UPDATE stage s
        SET note = judged.note
        FROM judged WHERE judged.seq = s.seq AND judged.note IS NOT NULL)
    SELECT array_agg(ROW(job_id, target, coalesce(nullif(body #>> '{response,message}', ''), outcome),
                         greatest(attempt, counts) + (target = 'ready')::integer,
                         CASE WHEN target <> 'ready' THEN NULL
                              WHEN unheard(body #> '{context,waits}') THEN now()
                              ELSE coalesce((body #>> '{context,due_at}')::timestamptz, now()) END,
                         target = 'ready', body)::job_change),
           array_agg(offboarding_id) FILTER (WHERE target <> 'ready' OR body #>> '{context,progress}' IS NOT NULL),
           array_agg(job_id) FILTER (WHERE outcome = 'missing')
    INTO changes, affected, missing
    FROM judged WHERE note IS NULL;
    PERFORM change_job_state(changes) WHERE changes IS NOT NULL;
    PERFORM apply_waits(w) WHERE EXISTS (SELECT FROM stage s WHERE s.wave = w AND s.name = 'job.deferred');
    PERFORM apply_open_items(w) WHERE EXISTS (SELECT FROM stage s WHERE s.wave = w AND s.body #> '{context,open}' IS NOT NULL);
    PERFORM cancel_phases(missing) WHERE missing IS NOT NULL;
    PERFORM settle(affected) WHERE affected IS NOT NULL;
END
$$;
COMMENT ON FUNCTION apply_answers(integer) IS
    'Staged `job.*` events of a wave. Succeeded is final; a late success counts even for a cancelled or skipped job; anything else late is noted and changes nothing.';

-- ---- what the planner says later ------------------------------------------------------------------------------------

CREATE FUNCTION apply_moved(w integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moved uuid[];
BEGIN
    UPDATE stage s SET note = CASE WHEN o.id IS NULL THEN 'refused: unknown offboarding'
                                   ELSE 'refused: the offboarding is ' || o.status END
    FROM stage t LEFT JOIN offboarding o ON o.id = t.offboarding_id
    WHERE t.wave = w AND t.name = 'moved' AND s.seq = t.seq AND (o.id IS NULL OR o.status NOT IN ('waiting', 'held'));
    WITH changed AS (
        UPDATE offboarding o
        SET effective_at = coalesce((s.body #>> '{context,effective_at}')::timestamptz, o.effective_at),
            priority = coalesce(s.body #>> '{context,priority}', o.priority),
            personal = sealed_leaver(o.id, p -> 'leaver', p -> 'ids', coalesce(nullif(p -> 'extra', 'null'), '{}') || jsonb_strip_nulls(
                jsonb_build_object('moved_by', s.body #> '{context,actor}')))
        FROM stage s JOIN offboarding b ON b.id = s.offboarding_id CROSS JOIN LATERAL (SELECT personal_of(b) OFFSET 0) AS x (p)
        WHERE s.wave = w AND s.name = 'moved' AND s.note IS NULL AND o.id = s.offboarding_id
        RETURNING o.id)
    SELECT array_agg(id) INTO moved FROM changed;
    PERFORM wait_until_effective(moved);
END
$$;
COMMENT ON FUNCTION apply_moved(integer) IS
    'Staged `moved` events of a wave: a waiting or held offboarding gets another date or priority. A date that has passed is due at once; a held one stays held.';

CREATE FUNCTION apply_starts(w integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    starts start[];
BEGIN
    UPDATE stage s
    SET note = CASE WHEN o.id IS NULL THEN 'refused: unknown offboarding'
                    WHEN o.status <> 'waiting' THEN 'refused: the offboarding is ' || o.status
                    WHEN o.effective_at <> (t.body #>> '{context,due_at}')::timestamptz
                    THEN 'stale: its date is ' || instant(o.effective_at) END
    FROM stage t LEFT JOIN offboarding o ON o.id = t.offboarding_id
    WHERE t.wave = w AND t.name IN ('started', 'held') AND s.seq = t.seq;
    UPDATE offboarding o
    SET status = 'held', reason = sealed(o.id, coalesce(s.body #>> '{context,reason}', s.body #>> '{response,message}'))
    FROM stage s WHERE s.wave = w AND s.name = 'held' AND s.note IS NULL AND o.id = s.offboarding_id;
    SELECT array_agg(ROW(s.offboarding_id, now(), '{}'::uuid[])::start) INTO starts
    FROM stage s WHERE s.wave = w AND s.name = 'started' AND s.note IS NULL;
    PERFORM start_offboardings(starts) WHERE starts IS NOT NULL;
END
$$;
COMMENT ON FUNCTION apply_starts(integer) IS
    'Staged `started` and `held` events of a wave: the planner''s answer when the date of a waiting offboarding has come.';

CREATE FUNCTION apply_cancelled(w integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    cancelled uuid[];
BEGIN
    SELECT cancel_offboardings(array_agg(s.offboarding_id),
                               array_agg(coalesce(s.body #>> '{context,reason}', s.body #>> '{response,message}')))
    INTO cancelled
    FROM stage s WHERE s.wave = w AND s.name = 'cancelled';
    UPDATE stage s SET note = coalesce('the offboarding is already ' || o.status, 'unknown offboarding')
    FROM stage t LEFT JOIN offboarding o ON o.id = t.offboarding_id
    WHERE t.wave = w AND t.name = 'cancelled' AND t.offboarding_id <> ALL (cancelled) AND s.seq = t.seq;
END
$$;
COMMENT ON FUNCTION apply_cancelled(integer) IS 'Staged `cancelled` events of a wave.';

CREATE FUNCTION apply_phase_due(w integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    starts start[];
    affected uuid[];
BEGIN
    UPDATE stage s
    SET note = CASE WHEN o.id IS NULL THEN 'unknown offboarding'
                    WHEN p.name IS NULL THEN 'unknown phase'
                    WHEN o.status NOT IN ('waiting', 'initiated') THEN 'the offboarding is ' || o.status
                    WHEN p.status <> 'waiting' THEN 'the phase is already ' || p.status
                    WHEN o.status = 'waiting' AND p.position <> 1 THEN 'the offboarding is waiting'
                    WHEN p.due_at IS DISTINCT FROM (t.body #>> '{context,due_at}')::timestamptz
                    THEN coalesce('stale: the phase is due at ' || instant(p.due_at), 'stale: the phase has no date') END
    FROM stage t
         LEFT JOIN offboarding o ON o.id = t.offboarding_id
         LEFT JOIN phase p ON p.offboarding_id = o.id AND p.name = t.body #>> '{context,phase}'
    WHERE t.wave = w AND t.name = 'phase.due' AND s.seq = t.seq;
    SELECT array_agg(ROW(o.id, now(), '{}'::uuid[])::start) INTO starts
    FROM stage s JOIN offboarding o ON o.id = s.offboarding_id AND o.status = 'waiting'
    WHERE s.wave = w AND s.name = 'phase.due' AND s.note IS NULL;
    WITH come AS (
        UPDATE phase p
        SET status = CASE WHEN x.waits THEN 'held' ELSE 'initiated' END, started_at = CASE WHEN x.waits THEN NULL ELSE now() END
        FROM stage s
             JOIN offboarding o ON o.id = s.offboarding_id AND o.status = 'initiated'
             JOIN phase c ON c.offboarding_id = o.id AND c.name = s.body #>> '{context,phase}'
             CROSS JOIN LATERAL (SELECT waits_for_phases(c) OFFSET 0) AS x (waits)
        WHERE s.wave = w AND s.name = 'phase.due' AND s.note IS NULL AND p.offboarding_id = c.offboarding_id AND p.name = c.name
        RETURNING p.offboarding_id)
    SELECT array_agg(offboarding_id) INTO affected FROM come;
    PERFORM settle(affected) WHERE affected IS NOT NULL;
    PERFORM start_offboardings(starts) WHERE starts IS NOT NULL;
END
$$;
COMMENT ON FUNCTION apply_phase_due(integer) IS
    'Staged `phase.due` events of a wave: the phase is initiated, or held until those before it are over; a waiting offboarding starts.';

-- ---- what was lost on the way ----------------------------------------------------------------------------------------

CREATE FUNCTION apply_lost_jobs(w integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    changes job_change[];
    affected uuid[];
BEGIN
    UPDATE stage s
    SET note = CASE WHEN j.id IS NULL THEN 'unknown job'
                    WHEN j.state <> 'ready' THEN 'the job is already ' || j.state
                    WHEN j.attempt <> (t.body #>> '{context,attempt}')::integer
                    THEN format('late: attempt %s is over, attempt %s counts', t.body #>> '{context,attempt}', j.attempt) END
    FROM stage t LEFT JOIN job j ON j.id = t.job_id AND j.offboarding_id = t.offboarding_id
    WHERE t.wave = w AND t.name = 'job.lost' AND s.seq = t.seq;
    SELECT array_agg(CASE WHEN j.attempt = 1 AND j.due_at + duration((j.spec ->> 'expires_us')::bigint) < now()
                          THEN ROW(j.id, 'skipped', 'expired: its message was lost, and it could not begin in time', NULL, NULL,
                                   false, NULL)::job_change
                          ELSE ROW(j.id, 'ready', format('attempt %s was lost; it is published again', j.attempt), j.attempt + 1,
                                   now(), true, NULL)::job_change END),
           array_agg(j.offboarding_id)
    INTO changes, affected
    FROM stage s JOIN job j ON j.id = s.job_id
    WHERE s.wave = w AND s.name = 'job.lost' AND s.note IS NULL;
    PERFORM change_job_state(changes) WHERE changes IS NOT NULL;
    PERFORM settle(affected) WHERE affected IS NOT NULL;
END
$$;
COMMENT ON FUNCTION apply_lost_jobs(integer) IS
    'Staged `job.lost` events of a wave: the next attempt is due at once. A job that the runbook gives a term, and whose first attempt was lost, is skipped when the term is over.';

CREATE FUNCTION apply_repeated_phases(w integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE stage s
    SET note = CASE WHEN p.name IS NULL THEN 'unknown phase'
                    WHEN o.status NOT IN ('waiting', 'initiated') THEN 'the offboarding is ' || o.status
                    WHEN p.status <> 'waiting' THEN 'the phase is already ' || p.status
                    WHEN p.due_at IS DISTINCT FROM (t.body #>> '{context,due_at}')::timestamptz
                    THEN coalesce('stale: the phase is due at ' || instant(p.due_at), 'stale: the phase has no date')
                    WHEN EXISTS (SELECT FROM due d WHERE d.due_at = p.due_at AND d.offboarding_id = o.id AND d.phase = p.name)
                    THEN 'late: it is due to be said again' END
    FROM stage t
         LEFT JOIN offboarding o ON o.id = t.offboarding_id
         LEFT JOIN phase p ON p.offboarding_id = o.id AND p.name = t.body #>> '{context,phase}'
    WHERE t.wave = w AND t.name = 'phase.again' AND s.seq = t.seq;
    WITH repeated AS (
        UPDATE phase p SET repeated_at = now()
        FROM stage s
        WHERE s.wave = w AND s.name = 'phase.again' AND s.note IS NULL
          AND p.offboarding_id = s.offboarding_id AND p.name = s.body #>> '{context,phase}'
        RETURNING p.due_at, p.offboarding_id, p.name)
    INSERT INTO due (due_at, offboarding_id, phase) SELECT due_at, offboarding_id, name FROM repeated;
END
$$;
COMMENT ON FUNCTION apply_repeated_phases(integer) IS 'Staged `phase.again` events of a wave: nobody answered that the phase''s time has come, so that is due to be said again.';

-- ---- operators' orders ----------------------------------------------------------------------------------------------

-- Two producers that are asked the same under one idempotency key give the same order. The repeats of control records are applied, as the
-- workers apply them; they say what is so already.
CREATE FUNCTION note_repeated_orders() RETURNS void
LANGUAGE sql AS $$
    UPDATE stage s SET wave = CASE WHEN s.name LIKE 'order.%' THEN NULL ELSE s.wave END, note = 'repeated: the first one counts'
    WHERE (s.name LIKE 'order.%' OR s.name LIKE 'control.%')
      AND (EXISTS (SELECT FROM stage t WHERE t.id = s.id AND t.name = s.name AND t.seq < s.seq)
           OR EXISTS (SELECT FROM event e WHERE e.id = s.id AND e.name = s.name
                      AND is_order(e.name)))
$$;
COMMENT ON FUNCTION note_repeated_orders() IS 'Staged orders that were recorded before, by their ids, change nothing.';

CREATE FUNCTION apply_approvals(w integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    released uuid[];
    starts start[];
BEGIN
    WITH freed AS (
        UPDATE offboarding o SET status = 'waiting', reason = NULL, approved = true
        FROM stage s
        WHERE s.wave = w AND s.name = 'order.approve' AND o.id = s.offboarding_id AND o.status = 'held'
        RETURNING o.id, o.effective_at)
    SELECT coalesce(array_agg(id), '{}'),
           array_agg(ROW(id, now(), '{}'::uuid[])::start) FILTER (WHERE effective_at <= now())
    INTO released, starts
    FROM freed;
    UPDATE stage s SET note = coalesce('refused: the offboarding is ' || o.status, 'refused: unknown offboarding')
    FROM stage t LEFT JOIN offboarding o ON o.id = t.offboarding_id
    WHERE t.wave = w AND t.name = 'order.approve' AND t.offboarding_id <> ALL (released) AND s.seq = t.seq;
    PERFORM start_offboardings(starts) WHERE starts IS NOT NULL;
    PERFORM wait_until_effective(released);
END
$$;
COMMENT ON FUNCTION apply_approvals(integer) IS
    'Staged `order.approve` events of a wave: a held offboarding starts, or waits for its date.';

CREATE FUNCTION apply_job_orders(w integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    withdrawn uuid[] := ARRAY(SELECT withdraw_due(ARRAY(
        SELECT j.id FROM stage s JOIN job j ON j.offboarding_id = s.offboarding_id AND (j.id = s.job_id OR j.step = s.body #>> '{context,step}')
        WHERE s.wave = w AND s.name = 'order.skip' AND j.state = 'ready')));
    changes job_change[];
    served integer[];
    affected uuid[];
    resolved integer[];
    relieved uuid[];
BEGIN
    WITH closed AS (
        UPDATE open_item i SET closed_at = now(), closed_by = coalesce(s.body #>> '{context,actor,id}', 'a person')
        FROM stage s
             JOIN offboarding o ON o.id = s.offboarding_id AND o.erase_ordered_at IS NULL
             JOIN job j ON j.offboarding_id = s.offboarding_id AND (j.id = s.job_id OR j.step = s.body #>> '{context,step}')
        WHERE s.wave = w AND s.name = 'order.skip' AND i.job_id = j.id AND i.closed_at IS NULL
        RETURNING s.seq, s.offboarding_id)
    SELECT coalesce(array_agg(DISTINCT seq), '{}'), array_agg(DISTINCT offboarding_id) INTO resolved, relieved FROM closed;
    SELECT array_agg(CASE WHEN s.name = 'order.retry' AND s.job_id IS NULL AND s.body #>> '{context,step}' IS NULL
                               AND EXISTS (SELECT FROM job n WHERE n.id = ANY (j.needs) AND n.state IN ('waiting', 'ready', 'failed'))
                          THEN ROW(j.id, 'waiting', 'retried behind what it needs', NULL, NULL, false, NULL)::job_change
                          WHEN s.name = 'order.retry'
                          THEN ROW(j.id, 'ready', coalesce('retried: ' || nullif(s.body #>> '{context,reason}', ''), 'retried'),
                                   j.attempt + 1, now(), true, NULL)::job_change
                          ELSE ROW(j.id, 'skipped', coalesce('skipped: ' || nullif(s.body #>> '{context,reason}', ''), 'skipped'),
                                   NULL, NULL, false, NULL)::job_change END),
           coalesce(array_agg(DISTINCT s.seq), '{}'), array_agg(DISTINCT s.offboarding_id)
    INTO changes, served, affected
    FROM stage s
         JOIN offboarding o ON o.id = s.offboarding_id
         JOIN job j ON j.offboarding_id = o.id AND (o.status = 'initiated' OR outlives(j))
    WHERE s.wave = w AND s.name IN ('order.retry', 'order.skip') AND o.erase_ordered_at IS NULL
      AND (s.job_id IS NULL OR j.id = s.job_id)
      AND (s.body #>> '{context,step}' IS NULL OR j.step = s.body #>> '{context,step}')
      AND CASE WHEN s.name = 'order.retry' THEN j.state = 'failed'
               ELSE (j.state IN ('waiting', 'failed') OR j.id = ANY (withdrawn))
                    AND (s.job_id IS NOT NULL OR s.body #>> '{context,step}' IS NOT NULL) END;
    UPDATE stage s
    SET note = CASE WHEN o.id IS NULL THEN 'refused: unknown offboarding'
                    WHEN o.erase_ordered_at IS NOT NULL THEN 'refused: the offboarding is erased'
                    WHEN o.status <> 'initiated' THEN 'refused: the offboarding is ' || o.status
                    WHEN t.name = 'order.retry' AND j.id IS NOT NULL THEN 'refused: the job is ' || j.state || ', not failed'
                    WHEN j.state = 'ready'
                    THEN 'refused: the job has been published, and its worker may be running it; skip it when it has answered, or cancel the offboarding'
                    WHEN j.id IS NOT NULL THEN 'refused: the job is ' || j.state
                    WHEN t.job_id IS NOT NULL OR t.body #>> '{context,step}' IS NOT NULL THEN 'refused: no such job'
                    WHEN t.name = 'order.retry' THEN 'refused: no job has failed'
                    ELSE 'refused: it names no job and no step' END
    FROM stage t
         LEFT JOIN offboarding o ON o.id = t.offboarding_id
         LEFT JOIN job j ON j.offboarding_id = o.id AND (j.id = t.job_id OR j.step = t.body #>> '{context,step}')
    WHERE t.wave = w AND t.name IN ('order.retry', 'order.skip') AND t.seq <> ALL (served || resolved) AND s.seq = t.seq;
    PERFORM change_job_state(changes) WHERE changes IS NOT NULL;
    PERFORM settle(affected || relieved) WHERE affected IS NOT NULL OR relieved IS NOT NULL;
END
$$;
COMMENT ON FUNCTION apply_job_orders(integer) IS
    'Staged `order.retry` (failed jobs: one, or all of the offboarding) and `order.skip` events of a wave. Skipping a step also resolves what it left in place on purpose; one whose job has been published and not answered is not skipped. What can''t be done is noted as refused.';

-- The jobs that undo are rows like others, but of an offboarding that is over, and due at once: what was done last comes first,
-- as far as a millisecond goes.
CREATE FUNCTION make_undo_jobs(undone uuid[]) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO job (id, offboarding_id, phase, step, position, system, action, effect, spec)
    SELECT (j.spec ->> 'undo_job_id')::uuid, j.offboarding_id, j.phase, j.step || '.undo',
           (SELECT max(b.position) FROM job b WHERE b.offboarding_id = j.offboarding_id)
           + row_number() OVER (PARTITION BY j.offboarding_id ORDER BY j.position),
           j.system, j.spec ->> 'undo', j.spec ->> 'undo_effect',
           jsonb_build_object(
               'id', j.step || '.undo', 'undo_of', j.step, 'with', j.spec -> 'with', 'needs', '[]'::jsonb,
               'reads', coalesce(nullif(j.spec -> 'needs', 'null'), '[]') || coalesce(j.spec -> 'reads', '[]'))
           || jsonb_strip_nulls(jsonb_build_object('inside', j.spec -> 'inside', 'title', j.spec -> 'undo_title'))
    FROM job j WHERE j.id = ANY (undone)
    ON CONFLICT (id) DO NOTHING
$$;
COMMENT ON FUNCTION make_undo_jobs(uuid[]) IS
    'Rows of the jobs that undo these: the same system, parameters and results to read, the action that the plan names. Those that are there stay.';

CREATE FUNCTION apply_undo(w integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    undone uuid[];
    changes job_change[];
    served integer[];
BEGIN
    SELECT array_agg(DISTINCT j.id) INTO undone
    FROM stage s
         JOIN offboarding o ON o.id = s.offboarding_id AND o.mode = 'live' AND o.status IN ('completed', 'cancelled', 'duplicate')
                               AND o.erase_ordered_at IS NULL
         JOIN job j ON j.offboarding_id = o.id AND j.state = 'succeeded' AND j.spec ? 'undo_job_id'
    WHERE s.wave = w AND s.name = 'order.undo'
      -- What was so before the offboarding came isn't ours to change, unless a person names it.
      AND CASE WHEN s.job_id IS NULL AND s.body #>> '{context,step}' IS NULL THEN j.outcome = 'succeeded'
               ELSE s.job_id = j.id OR s.body #>> '{context,step}' = j.step END;
    PERFORM make_undo_jobs(undone) WHERE undone IS NOT NULL;
    SELECT array_agg(ROW(u.id, 'ready', coalesce('undo: ' || nullif(s.body #>> '{context,reason}', ''), 'undo'),
                         u.attempt + 1, now() + (last.position - j.position) * interval '1 ms', true, NULL)::job_change),
           coalesce(array_agg(DISTINCT s.seq), '{}')
    INTO changes, served
    FROM job j
         CROSS JOIN LATERAL (SELECT max(m.position) AS position FROM job m WHERE m.offboarding_id = j.offboarding_id) last
         JOIN job u ON u.id = (j.spec ->> 'undo_job_id')::uuid AND u.state IN ('waiting', 'failed')
         JOIN stage s ON s.wave = w AND s.name = 'order.undo' AND s.offboarding_id = j.offboarding_id
    WHERE j.id = ANY (undone);
    UPDATE stage s
    SET note = CASE WHEN o.id IS NULL THEN 'refused: unknown offboarding'
                    WHEN o.erase_ordered_at IS NOT NULL THEN 'refused: the offboarding is erased'
                    WHEN o.mode <> 'live' THEN 'refused: a dry run has changed nothing'
                    WHEN o.status NOT IN ('completed', 'cancelled', 'duplicate')
                    THEN format('refused: the offboarding is %s; cancel it first (offboard cancel), or wait until it is over', o.status)
                    WHEN u.id IS NOT NULL THEN 'refused: it was ordered before; the jobs that undo have not failed'
                    ELSE 'refused: no such step has succeeded and can be undone' END
    FROM stage t
         LEFT JOIN offboarding o ON o.id = t.offboarding_id
         LEFT JOIN job j ON j.offboarding_id = o.id AND j.id = ANY (undone)
         LEFT JOIN job u ON u.id = (j.spec ->> 'undo_job_id')::uuid
    WHERE t.wave = w AND t.name = 'order.undo' AND t.seq <> ALL (served) AND s.seq = t.seq;
    PERFORM change_job_state(changes) WHERE changes IS NOT NULL;
END
$$;
COMMENT ON FUNCTION apply_undo(integer) IS
    'Staged `order.undo` events of a wave: of an offboarding that is over, a job for every step that succeeded and can be undone; one that failed runs again. What can''t be done is noted as refused.';

-- A job that undoes, or that tells of results, still needs the data.
CREATE FUNCTION keeps_data(o offboarding) RETURNS text
LANGUAGE sql STABLE
RETURN CASE WHEN o.status NOT IN ('completed', 'cancelled', 'duplicate') THEN 'the offboarding is ' || o.status
            WHEN EXISTS (SELECT FROM open_job w JOIN job j ON j.id = w.job_id
                         WHERE w.offboarding_id = o.id AND w.state = 'ready' AND outlives(j))
            THEN 'a job of the offboarding is still to run: one that undoes, or tells of results' END;
COMMENT ON FUNCTION keeps_data(offboarding) IS 'Why the personal data of an offboarding cannot be erased yet; null: they can.';

CREATE FUNCTION order_erasure(which uuid[]) RETURNS SETOF uuid
LANGUAGE sql AS $$
    WITH ordered AS (
        UPDATE offboarding o SET erase_ordered_at = now()
        WHERE o.id = ANY (which) AND o.erased_at IS NULL AND keeps_data(o) IS NULL
        RETURNING o.id),
    told AS (
        INSERT INTO roster_notice (offboarding_id, kind) SELECT id, 'erase' FROM ordered ON CONFLICT DO NOTHING)
    SELECT id FROM ordered
$$;
COMMENT ON FUNCTION order_erasure(uuid[]) IS
    'Of these offboardings, those that can be erased run nothing any more, and the planner is told to delete their keys; returns which. One that was ordered before and is not erased yet is ordered again.';

CREATE FUNCTION apply_erasures(w integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    ordered uuid[] := ARRAY(SELECT order_erasure(ARRAY(SELECT s.offboarding_id FROM stage s
                                                       WHERE s.wave = w AND s.name = 'order.erase')));
BEGIN
    UPDATE stage s
    SET note = 'refused: ' || CASE WHEN o.id IS NULL THEN 'unknown offboarding'
                                   WHEN o.erased_at IS NOT NULL THEN 'the offboarding was erased before'
                                   ELSE keeps_data(o) END
    FROM stage t LEFT JOIN offboarding o ON o.id = t.offboarding_id
    WHERE t.wave = w AND t.name = 'order.erase' AND t.offboarding_id <> ALL (ordered) AND s.seq = t.seq;
END
$$;
COMMENT ON FUNCTION apply_erasures(integer) IS
    'Staged `order.erase` events of a wave: the planner is asked to delete the keys of offboardings that are over. What can''t be done is noted as refused.';

-- The order names the person by a digest: it stays, and must not tell whom it was about.
CREATE FUNCTION apply_person_erasures() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    digests bytea[] := ARRAY(SELECT decode(s.body #>> '{context,person_digest}', 'hex') FROM stage s
                             WHERE s.name = 'order.erase' AND s.offboarding_id IS NULL AND s.note IS NULL);
    known bytea[] := ARRAY(SELECT d FROM unnest(digests) d
                           WHERE EXISTS (SELECT FROM event e WHERE e.person_digest = d AND e.body IS NOT NULL)
                              OR EXISTS (SELECT FROM intake i WHERE i.person_digest = d)
                              OR EXISTS (SELECT FROM cancellation c WHERE c.subject = encode(d, 'hex')));
BEGIN
    UPDATE stage s SET note = 'refused: nothing is recorded of this person without an offboarding'
    WHERE s.name = 'order.erase' AND s.offboarding_id IS NULL AND s.note IS NULL
      AND decode(s.body #>> '{context,person_digest}', 'hex') = ANY (known) IS NOT TRUE;
    PERFORM erase_persons(known);
END
$$;
COMMENT ON FUNCTION apply_person_erasures() IS
    'Staged `order.erase` events that name a person: what HR and operators said of them without an offboarding is emptied.';

-- ---- one batch ------------------------------------------------------------------------------------------------------

CREATE FUNCTION apply_wave(w integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    names text[] := ARRAY(SELECT DISTINCT name FROM stage WHERE wave = w);
BEGIN
    PERFORM apply_initiated(w) WHERE 'initiated' = ANY (names);
    PERFORM apply_moved(w) WHERE 'moved' = ANY (names);
    PERFORM apply_starts(w) WHERE names && '{started,held}';
    PERFORM apply_cancelled(w) WHERE 'cancelled' = ANY (names);
    PERFORM apply_phase_due(w) WHERE 'phase.due' = ANY (names);
    PERFORM apply_lost_jobs(w) WHERE 'job.lost' = ANY (names);
    PERFORM apply_repeated_phases(w) WHERE 'phase.again' = ANY (names);
    PERFORM apply_approvals(w) WHERE 'order.approve' = ANY (names);
    PERFORM apply_job_orders(w) WHERE names && '{order.retry,order.skip}';
    PERFORM apply_undo(w) WHERE 'order.undo' = ANY (names);
    PERFORM apply_erasures(w) WHERE 'order.erase' = ANY (names);
    PERFORM apply_before_images(w) WHERE 'job.before' = ANY (names);
    PERFORM apply_answers(w) WHERE EXISTS (SELECT FROM unnest(names) n WHERE n LIKE 'job.%');
END
$$;
COMMENT ON FUNCTION apply_wave(integer) IS 'One wave of the batch: at most one event of each offboarding.';

CREATE FUNCTION apply_batch(topics text[], partitions integer[], before bigint[], after bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moved integer;
    w integer := 1;
BEGIN
    -- The fence, first: who does not find the offset it knows has lost the partition and must not write at all.
    UPDATE kafka_offset k SET next = b.after, updated_at = now()
    FROM unnest(topics, partitions, before, after) b (topic, kafka_partition, before, after)
    WHERE k.topic = b.topic AND k.kafka_partition = b.kafka_partition AND k.next = b.before;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(topics) THEN
        RAISE EXCEPTION USING ERRCODE = 'OB001', MESSAGE = 'another logger has the partition';
    END IF;
    PERFORM note_repeated_orders() WHERE EXISTS (SELECT FROM stage WHERE name LIKE 'order.%' OR name LIKE 'control.%');
    PERFORM set_early_aside();
    PERFORM lock_subjects();
    PERFORM apply_records();
    PERFORM apply_systems(), apply_pause_wishes() WHERE EXISTS (SELECT FROM stage WHERE name LIKE 'system.%');
    PERFORM apply_signals() WHERE EXISTS (SELECT FROM stage WHERE name = 'signal');
    PERFORM apply_control() WHERE EXISTS (SELECT FROM stage WHERE name LIKE 'control.%');
    PERFORM apply_person_erasures() WHERE EXISTS (SELECT FROM stage WHERE name = 'order.erase' AND offboarding_id IS NULL);
    -- Against the control records of other loggers, which cancel whole offboardings; in order, against deadlocks.
    PERFORM FROM offboarding WHERE id IN (SELECT offboarding_id FROM stage WHERE wave IS NOT NULL)
    ORDER BY id FOR NO KEY UPDATE;
    WHILE w <= (SELECT coalesce(max(wave), 0) FROM stage) LOOP
        PERFORM apply_wave(w);
        w := w + 1;
    END LOOP;
    -- The planner has deleted their keys. Records that nobody can open any more bear the same name, and are sealed.
    PERFORM erase_offboardings(array_agg(offboarding_id)) FROM stage WHERE name = 'erased' AND sealed IS NULL HAVING count(*) > 0;
    PERFORM note_early() WHERE EXISTS (SELECT FROM stage WHERE early);
    PERFORM record_events();
END
$$;
COMMENT ON FUNCTION apply_batch(text[], integer[], bigint[], bigint[]) IS
    'The staged batch becomes rows and states, and the offsets of its partitions move, all or nothing. SQLSTATE OB001: another logger has one of the partitions.';
