-- A company's history: current_setting('bench.n') offboardings over 400 days, of each 30 jobs, 20 results and 100 events. Of the last 90 days
-- they are open (their second phase comes on day 90); a few are held, cancelled, failed or at work. Bodies of events older than a week are
-- erased. Sealed values are the same in all rows of an offboarding. Hashes older than three days are made up.
SET session_replication_role = replica; -- neither triggers nor foreign keys
SET synchronous_commit = off;
SET maintenance_work_mem = '1GB';
SET work_mem = '256MB';
SET jit = off;

CREATE UNLOGGED TABLE one AS
SELECT i, md5('o' || i)::uuid AS id, now() - interval '400 days' * (n - i) / n AS at,
       CASE WHEN i > n - 100 THEN 'held'
            WHEN i % 200 = 0 THEN 'cancelled'
            WHEN i > n * 31 / 40 THEN CASE WHEN i % 50 = 1 THEN 'waiting' ELSE 'initiated' END
            ELSE 'completed' END AS status
FROM (SELECT current_setting('bench.n')::bigint AS n) s, generate_series(1, n) i;
ALTER TABLE one ADD PRIMARY KEY (id);
ANALYZE one;

INSERT INTO personal_key (offboarding_id, key) SELECT id, sha256(uuid_send(id)) FROM one
UNION ALL SELECT '00000000-0000-0000-0000-000000000000', sha256('nil');
CREATE UNLOGGED TABLE sealed_once AS
SELECT i, sealed(id, jsonb_build_object('ids', '{"okta": ["00u1"]}'::jsonb, 'extra', '{}'::jsonb, 'leaver', jsonb_build_object(
           'email', 'person-' || i || '@example.com', 'employee_id', 'E' || i, 'name', 'Person ' || i))::text) AS personal,
       sealed(id, '{"outputs": {"count": 3}, "verified": {"ok": true, "expected": "gone", "seen": "gone"}}') AS job,
       sealed(id, '{"state": "succeeded", "message": "done"}') AS result,
       sealed(id, jsonb_build_object('person', 'person-' || i || '@example.com', 'data', '{"email": "x"}'::jsonb)::text) AS intake,
       sealed(id, json_build_object('name', 'job.succeeded', 'response', json_build_object(
           'statusCode', 200, 'message', 'done, and confirmed by reading back'), 'context', json_build_object('outcome', 'succeeded',
           'calls', json_build_array(json_build_object('method', 'POST', 'url', 'https://okta.example.com/api/v1/users', 'status', 200)),
           'actor', json_build_object('kind', 'token', 'id', 'desk')))::text) AS event
FROM one;
ALTER TABLE sealed_once ADD PRIMARY KEY (i);
ANALYZE sealed_once;

INSERT INTO offboarding (id, status, runbook, source, mode, priority, personal, actor, received_at, effective_at, started_at, ended_at, plan,
                         recorded_at)
SELECT id, status, 'standard-leaver', 'hr', 'live', 'normal',
       s.personal, '{"kind": "token", "id": "hr"}', at, CASE WHEN status = 'waiting' THEN now() + interval '30 days' ELSE at END,
       CASE WHEN status NOT IN ('waiting', 'held') THEN at END,
       CASE WHEN status = 'completed' THEN at + interval '90 days' WHEN status = 'cancelled' THEN at + interval '1 hour' END,
       '{"runbook": {"name": "standard-leaver"}, "phases": []}', at
FROM one JOIN sealed_once s USING (i);

INSERT INTO person_key (digest, offboarding_id)
SELECT d, id FROM one CROSS JOIN LATERAL unnest(person_digests(ARRAY['person-' || i || '@example.com', 'E' || i])) d;

INSERT INTO phase (offboarding_id, name, position, status, after, after_us, due_at, started_at, ended_at)
SELECT id, p.name, p.position,
       CASE WHEN status IN ('completed', 'cancelled') THEN status
            WHEN status = 'initiated' AND p.position = 1 THEN CASE WHEN i % 100 < 2 THEN 'initiated' ELSE 'completed' END
            ELSE 'waiting' END,
       p.after, 0, CASE WHEN p.position = 2 THEN at + interval '90 days' END, at, NULL
FROM one, (VALUES ('day-0', 1, NULL), ('day-90', 2, '90d')) p (name, position, after);

INSERT INTO due (due_at, offboarding_id, phase)
SELECT at + interval '90 days', id, 'day-90' FROM one WHERE status = 'initiated' AND at + interval '90 days' > now() + interval '1 hour';

INSERT INTO follower (offboarding_id, name, kind, spec) SELECT id, 'mirror-1', 'mirror', '{"system": "jira", "action": "comment"}' FROM one;

INSERT INTO job (id, offboarding_id, phase, step, position, system, action, effect, spec, state, attempt, due_at, changed_at, outcome, status_code,
                 personal, verified_at, answered_at, duration_ms)
SELECT md5('j' || i || '/' || k)::uuid, id, CASE WHEN k <= 20 THEN 'day-0' ELSE 'day-90' END, 'step-' || k, k,
       (ARRAY['okta', 'google', 'slack', 'jira', 'github', 'zoom'])[1 + k % 6], 'deactivate_user',
       (ARRAY['revoke', 'revoke', 'handover', 'notify'])[1 + k % 4], '{"with": {}}', x.state, 1, at, at,
       CASE x.state WHEN 'succeeded' THEN 'succeeded' WHEN 'failed' THEN 'failed' WHEN 'skipped' THEN 'missing' END, 200,
       CASE WHEN x.state = 'succeeded' THEN s.job END,
       CASE WHEN x.state = 'succeeded' THEN at + interval '3 s' END,
       CASE WHEN x.state IN ('succeeded', 'failed', 'skipped') THEN at + interval '2 s' END, 140
FROM one JOIN sealed_once s USING (i), generate_series(1, 30) k
     CROSS JOIN LATERAL (SELECT CASE WHEN status = 'cancelled' THEN 'cancelled'
                                     WHEN status IN ('held', 'waiting') OR status = 'initiated' AND k > 20 THEN 'waiting'
                                     WHEN status = 'initiated' AND k = 20 AND i % 100 = 0 THEN 'failed'
                                     WHEN status = 'initiated' AND k = 20 AND i % 100 = 1 THEN 'ready'
                                     WHEN k % 10 = 7 THEN 'skipped' ELSE 'succeeded' END AS state) x;

INSERT INTO open_job (job_id, offboarding_id, state, due_at)
SELECT id, offboarding_id, state, due_at FROM job WHERE state IN ('ready', 'failed');

INSERT INTO result (offboarding_id, job_id, phase, state, sealed)
SELECT id, md5('j' || i || '/' || k)::uuid, 'day-0', 'succeeded', s.result
FROM one JOIN sealed_once s USING (i), generate_series(1, 20) k WHERE status IN ('initiated', 'completed');

INSERT INTO intake (id, source, source_event_id, type, received_at, disposition, offboarding_id, recorded_at, person, data, personal,
                    person_digest)
SELECT md5('i' || i || '/1')::uuid, 'hr', i || '-1', 'leaver', at, 'started', id, at, NULL, NULL::jsonb, s.intake, NULL
FROM one JOIN sealed_once s USING (i)
UNION ALL
SELECT md5('i' || i || '/2')::uuid, 'hr', i || '-2', 'leaver', at, 'ignored', NULL, at, 'person-' || i || '@example.com', '{"email": "x"}', NULL,
       (person_digests(ARRAY['person-' || i || '@example.com']))[1]
FROM one;

INSERT INTO signal (id, name, key, source, actor, data, received_at)
SELECT md5('s' || i)::uuid, 'parcel', '1Z' || i, 'carrier', '{"kind": "token", "id": "carrier"}', '{"tag": "Delivered"}', at
FROM one WHERE i % 5 = 0;
INSERT INTO awaited (job_id, signal, key) SELECT md5('j' || i || '/20')::uuid, 'parcel', '1Z' || i FROM one WHERE i % 5 = 0;
INSERT INTO cancellation (subject, reason, cancelled_at) SELECT id::text, 'by order', at FROM one WHERE status = 'cancelled';
INSERT INTO kafka_offset (topic, kafka_partition, next) SELECT 'offboard.events', p, 1000000000 FROM generate_series(0, 11) p;

-- Each month is filled first and attached then: its indexes are built at once.
SELECT make_event_partitions(2);
DO $$
DECLARE
    month timestamptz;
    part text;
BEGIN
    FOR month IN SELECT generate_series(date_trunc('month', now() - interval '400 days'), date_trunc('month', now()), interval '1 month') LOOP
        part := 'event_' || to_char(month, 'YYYY_MM');
        IF to_regclass(part) IS NOT NULL THEN
            EXECUTE format('ALTER TABLE event DETACH PARTITION %I', part);
            EXECUTE format('DROP TABLE %I', part);
        END IF;
        EXECUTE format('CREATE TABLE %I (LIKE event INCLUDING DEFAULTS INCLUDING STORAGE)', part);
        EXECUTE format($f$
            INSERT INTO %I (recorded_at, topic, kafka_partition, kafka_offset, id, name, occurred_at, offboarding_id, job_id, phase, step, system,
                            action, attempt, outcome, status_code, body, salt, sealed, commitment, hash)
            SELECT at, 'offboard.events', i %% 12, i * 100 + k, md5('e' || i || '/' || k)::uuid,
                   CASE WHEN k = 1 THEN 'initiated' WHEN k = 2 AND i %% 20 = 0 THEN 'order.retry' WHEN k = 3 AND i %% 5 = 0 THEN 'signal'
                        ELSE 'job.succeeded' END,
                   at, CASE WHEN k <> 3 OR i %% 5 <> 0 THEN id END, md5('j' || i || '/' || k %% 30)::uuid, 'day-0', 'step-' || k %% 30, 'okta',
                   'deactivate_user', 1, 'succeeded', 200,
                   CASE WHEN x.loose THEN json_build_object('name', 'signal', 'context', json_build_object(
                       'signal', json_build_object('name', 'parcel', 'key', '1Z' || i))) END,
                   CASE WHEN x.loose THEN '\x00112233445566778899aabbccddeeff'::bytea END,
                   CASE WHEN NOT x.loose THEN s.event END, sha256('c'), sha256('h')
            FROM one JOIN sealed_once s USING (i), generate_series(1, 100) k
                 CROSS JOIN LATERAL (SELECT CASE WHEN at > now() - interval '7 days' THEN k = 3 AND i %% 5 = 0 END) AS x (loose)
            WHERE at >= %L AND at < %L ORDER BY i, k $f$, part, month, month + interval '1 month');
        EXECUTE format('ALTER TABLE event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, month, month + interval '1 month');
    END LOOP;
END
$$;
UPDATE event SET commitment = coalesce(sha256(sealed), event_commitment(salt, body)) WHERE recorded_at > now() - interval '3 days';
WITH links AS (
    SELECT e.topic, e.kafka_partition, e.kafka_offset, event_link(e) AS link FROM event e WHERE recorded_at > now() - interval '3 days'
    UNION ALL
    SELECT e.topic, e.kafka_partition, min(e.kafka_offset) - 1, sha256('h') FROM event e WHERE recorded_at > now() - interval '3 days' GROUP BY 1, 2),
hashes AS (
    SELECT topic, kafka_partition, kafka_offset, event_chain(link) OVER (PARTITION BY topic, kafka_partition ORDER BY kafka_offset) AS hash FROM links)
UPDATE event e SET hash = h.hash FROM hashes h
WHERE e.topic = h.topic AND e.kafka_partition = h.kafka_partition AND e.kafka_offset = h.kafka_offset AND e.recorded_at > now() - interval '3 days';
DROP TABLE one, sealed_once;
VACUUM ANALYZE;
