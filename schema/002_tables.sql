-- Tables. The logger writes all of them (and inserts into due); the scheduler only deletes from due.
-- Analysts read the views of the schema `analyst` (006), not these tables. Columns of type bytea named `personal`, `reason`, `before_image` or
-- `sealed` hold personal data under the offboarding's key (001); they are not compressed, as sealed bytes do not get smaller.

CREATE FUNCTION instant(at timestamptz) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
COMMENT ON FUNCTION instant(timestamptz) IS
    'An instant as messages write it: RFC 3339 in UTC with microseconds.';

CREATE FUNCTION duration(microseconds bigint) RETURNS interval
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN make_interval(secs => microseconds / 1000000) + (microseconds % 1000000) * interval '1 microsecond';
COMMENT ON FUNCTION duration(bigint) IS 'Microseconds, as plans and messages count durations, as an interval.';

CREATE FUNCTION day_of(at timestamptz) RETURNS date
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (at AT TIME ZONE 'UTC')::date;
COMMENT ON FUNCTION day_of(timestamptz) IS 'The day of an instant, in UTC. Views that count by day have an index on it.';

-- ---- what HR said ---------------------------------------------------------------------------------------------------

CREATE TABLE intake (
    id uuid PRIMARY KEY,
    source text,
    source_event_id text,
    type text,
    event_time timestamptz,
    received_at timestamptz NOT NULL,
    person text,
    disposition text NOT NULL CHECK (disposition IN
        ('started', 'held', 'waiting', 'moved', 'cancelled', 'refused', 'duplicate', 'ignored', 'dead')),
    reason text,
    criterion jsonb,
    offboarding_id uuid,
    topic text,
    kafka_partition integer,
    kafka_offset bigint,
    data jsonb,
    personal bytea,
    person_digest bytea,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CHECK (offboarding_id IS NULL OR person IS NULL AND reason IS NULL AND criterion IS NULL AND data IS NULL)
);
ALTER TABLE intake ALTER personal SET STORAGE EXTERNAL;
CREATE INDEX intake_received_at ON intake (received_at);
CREATE INDEX intake_day ON intake (day_of(received_at));
CREATE INDEX intake_offboarding ON intake (offboarding_id);
CREATE INDEX intake_event ON intake (source_event_id, source);
CREATE INDEX intake_person ON intake (person_digest) WHERE person_digest IS NOT NULL;
COMMENT ON TABLE intake IS 'Every HR event and what became of it; ignored and dead ones too.';
COMMENT ON COLUMN intake.id IS 'Id of the intake event: the same whenever the same record is planned again.';
COMMENT ON COLUMN intake.source IS 'The CloudEvent''s source.';
COMMENT ON COLUMN intake.source_event_id IS 'The CloudEvent''s id, unique within its source.';
COMMENT ON COLUMN intake.type IS 'The CloudEvent''s type.';
COMMENT ON COLUMN intake.event_time IS 'The CloudEvent''s time, as the HR system said.';
COMMENT ON COLUMN intake.received_at IS 'Timestamp of the Kafka record: when it reached us.';
COMMENT ON COLUMN intake.person IS 'E-mail in lower case, else employee id; only without an offboarding. Personal data.';
COMMENT ON COLUMN intake.disposition IS
    'What became of it: started, held, waiting, moved, cancelled, refused, duplicate, ignored, dead.';
COMMENT ON COLUMN intake.reason IS 'Why, in one sentence; only without an offboarding.';
COMMENT ON COLUMN intake.criterion IS 'Of ignored ones: name of the criterion that was not met, and the value it saw.';
COMMENT ON COLUMN intake.offboarding_id IS 'The offboarding concerned; null when there is none.';
COMMENT ON COLUMN intake.topic IS 'Kafka topic of the HR event.';
COMMENT ON COLUMN intake.kafka_partition IS 'Kafka partition of the HR event.';
COMMENT ON COLUMN intake.kafka_offset IS 'Kafka offset of the HR event.';
COMMENT ON COLUMN intake.data IS
    'The event''s data as it came; null when it could not be read. Only without an offboarding. Personal data.';
COMMENT ON COLUMN intake.personal IS 'Of an event with an offboarding: person, reason, criterion and data, sealed. Null once erased.';
COMMENT ON COLUMN intake.person_digest IS 'Of an event without one: digest of the person, by which an erasure finds it.';
COMMENT ON COLUMN intake.recorded_at IS 'When the logger wrote the row.';

-- ---- offboardings ---------------------------------------------------------------------------------------------------

CREATE TABLE offboarding (
    id uuid PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('waiting', 'initiated', 'completed', 'cancelled', 'held', 'duplicate')),
    reason bytea,
    runbook text NOT NULL,
    source text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('live', 'dry_run')),
    priority text NOT NULL CHECK (priority IN ('normal', 'urgent')),
    personal bytea,
    actor jsonb,
    event jsonb,
    event_at timestamptz,
    zone text,
    received_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    cancel_record uuid,
    approved boolean NOT NULL DEFAULT false,
    plan jsonb NOT NULL,
    traceparent text,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    erase_ordered_at timestamptz,
    erased_at timestamptz,
    CHECK ((personal IS NULL) = (erased_at IS NOT NULL))
) WITH (fillfactor = 70);
ALTER TABLE offboarding ALTER personal SET STORAGE EXTERNAL, ALTER reason SET STORAGE EXTERNAL;
CREATE INDEX offboarding_status ON offboarding (status, mode);
CREATE INDEX offboarding_received_at ON offboarding (received_at);
CREATE INDEX offboarding_day ON offboarding (day_of(received_at));
CREATE INDEX offboarding_cancelled ON offboarding (cancel_record) WHERE cancel_record IS NOT NULL;
CREATE INDEX offboarding_unerased ON offboarding (ended_at) WHERE erase_ordered_at IS NULL;
CREATE INDEX offboarding_erasing ON offboarding (id) WHERE erase_ordered_at IS NOT NULL AND erased_at IS NULL;
COMMENT ON TABLE offboarding IS 'One leaver, one runbook: the offboarding object of messages.md, as it is now.';
COMMENT ON COLUMN offboarding.id IS 'UUIDv5 of the HR event''s source and id.';
COMMENT ON COLUMN offboarding.status IS
    'waiting (its time lies ahead), held (until approved), initiated, completed, cancelled, duplicate (another offboarding is about the same person).';
COMMENT ON COLUMN offboarding.reason IS 'Why it was cancelled or is held, sealed. Null once erased.';
COMMENT ON COLUMN offboarding.runbook IS 'Name of the runbook.';
COMMENT ON COLUMN offboarding.source IS 'Name of the source that mapped the HR event.';
COMMENT ON COLUMN offboarding.mode IS 'live, or dry_run: nothing is changed at any vendor.';
COMMENT ON COLUMN offboarding.priority IS 'normal, or urgent: its jobs go to the urgent topics.';
COMMENT ON COLUMN offboarding.personal IS
    'Sealed: `leaver` (the object''s `user`, with what steps provided since), `ids` (accounts by system, as pinned; a system that is present, even empty, is not looked up again) and `extra` (members of the offboarding object that have no column of their own). Null once erased.';
COMMENT ON COLUMN offboarding.actor IS 'Who started it: kind, id, name.';
COMMENT ON COLUMN offboarding.event IS 'The HR event: source, id, type, time.';
COMMENT ON COLUMN offboarding.event_at IS 'The HR event''s own time; null when it has none.';
COMMENT ON COLUMN offboarding.zone IS 'The leaver''s IANA time zone.';
COMMENT ON COLUMN offboarding.received_at IS 'When the HR event reached us (the Kafka record''s timestamp).';
COMMENT ON COLUMN offboarding.effective_at IS 'When access ends, as HR said.';
COMMENT ON COLUMN offboarding.started_at IS 'When it really started; null while it waits or is held.';
COMMENT ON COLUMN offboarding.ended_at IS 'When it was completed or cancelled.';
COMMENT ON COLUMN offboarding.cancel_record IS
    'The control record that cancelled it: its event''s id. Null: it was not cancelled, or the planner cancelled it.';
COMMENT ON COLUMN offboarding.approved IS 'It was held, and a person let it go: no cap holds it again.';
COMMENT ON COLUMN offboarding.plan IS 'The plan as made at the start, with the hashes of runbook, source and connectors.';
COMMENT ON COLUMN offboarding.traceparent IS 'W3C trace context of the HR event; goes on with every job.';
COMMENT ON COLUMN offboarding.recorded_at IS 'When the logger wrote the row.';
COMMENT ON COLUMN offboarding.erase_ordered_at IS 'When its erasure was last ordered; nothing of it runs any more. Null: it was not.';
COMMENT ON COLUMN offboarding.erased_at IS 'When its key was gone and its personal data were removed here; null while they are there.';

CREATE TABLE person_key (
    digest bytea NOT NULL,
    offboarding_id uuid NOT NULL REFERENCES offboarding,
    PRIMARY KEY (digest, offboarding_id)
);
CREATE INDEX person_key_offboarding ON person_key (offboarding_id);
COMMENT ON TABLE person_key IS 'Whom offboardings are about: digests of all keys of each leaver. Erased with the offboarding.';
COMMENT ON COLUMN person_key.digest IS 'Digest of a key of the person: person_digests().';
COMMENT ON COLUMN person_key.offboarding_id IS 'An offboarding of theirs.';

CREATE TABLE phase (
    offboarding_id uuid NOT NULL REFERENCES offboarding,
    name text NOT NULL,
    position integer NOT NULL,
    status text NOT NULL DEFAULT 'waiting'
        CHECK (status IN ('waiting', 'initiated', 'completed', 'cancelled', 'held', 'duplicate')),
    beside boolean NOT NULL DEFAULT false,
    ends_access boolean NOT NULL DEFAULT false,
    after text,
    after_us bigint NOT NULL DEFAULT 0,
    due_at timestamptz,
    started_at timestamptz,
    ended_at timestamptz,
    repeated_at timestamptz,
    PRIMARY KEY (offboarding_id, name)
) WITH (fillfactor = 70);
CREATE INDEX phase_due_at ON phase (due_at) WHERE status = 'waiting';
COMMENT ON TABLE phase IS 'The phases of an offboarding, in order.';
COMMENT ON COLUMN phase.offboarding_id IS 'Whose phase it is.';
COMMENT ON COLUMN phase.name IS 'Name in the runbook.';
COMMENT ON COLUMN phase.position IS 'Place in the runbook, from 1.';
COMMENT ON COLUMN phase.status IS
    'waiting (its time has not come), held (a phase before it is not completed), initiated, completed, cancelled. A phase with a failed job stays initiated.';
COMMENT ON COLUMN phase.beside IS 'It does not wait for the phases before it.';
COMMENT ON COLUMN phase.ends_access IS 'When it is over, all access is gone: the runbook says so.';
COMMENT ON COLUMN phase.after IS 'As the runbook has it ("90d"); null: at once.';
COMMENT ON COLUMN phase.after_us IS
    'The same in microseconds, scaled by clock.day; counts from the later of effective_at and the actual start.';
COMMENT ON COLUMN phase.due_at IS 'When its time comes; null until that is known.';
COMMENT ON COLUMN phase.started_at IS 'When it was initiated.';
COMMENT ON COLUMN phase.ended_at IS 'When it was completed or cancelled.';
COMMENT ON COLUMN phase.repeated_at IS 'When its time had come, nobody answered, and it was last said again; null: never.';

-- fillfactor 50 and no index on anything that changes: every change of state is a HOT update (0.54 of COPY's speed with, 0.34
-- without it).
CREATE TABLE job (
    id uuid PRIMARY KEY,
    offboarding_id uuid NOT NULL REFERENCES offboarding,
    phase text NOT NULL,
    step text NOT NULL,
    position integer NOT NULL,
    system text NOT NULL,
    action text NOT NULL,
    effect text,
    needs uuid[] NOT NULL DEFAULT '{}' CHECK (array_position(needs, NULL) IS NULL),
    run_when text NOT NULL DEFAULT 'on_success' CHECK (run_when IN ('on_success', 'on_failure', 'unless_failed', 'any', 'always')),
    after_us bigint NOT NULL DEFAULT 0,
    spec jsonb NOT NULL,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'ready', 'succeeded', 'skipped', 'failed', 'cancelled')),
    attempt integer NOT NULL DEFAULT 0,
    due_at timestamptz,
    changed_at timestamptz NOT NULL DEFAULT now(),
    outcome text,
    status_code integer,
    personal bytea,
    verified_at timestamptz,
    answered_at timestamptz,
    duration_ms bigint,
    follower text,
    carries int8range,
    before_image bytea
) WITH (fillfactor = 50);
ALTER TABLE job ALTER personal SET STORAGE EXTERNAL, ALTER before_image SET STORAGE EXTERNAL;
CREATE INDEX job_offboarding ON job (offboarding_id);
CREATE INDEX job_undo ON job (offboarding_id) WHERE spec ? 'undo_of';
COMMENT ON TABLE job IS 'One step of one offboarding. change_job_state() is the only writer after the row was made, but for the before-image and erase_offboardings().';
COMMENT ON COLUMN job.id IS 'UUIDv5 of the offboarding''s id and phase/step.';
COMMENT ON COLUMN job.offboarding_id IS 'Whose job it is.';
COMMENT ON COLUMN job.phase IS 'Name of its phase.';
COMMENT ON COLUMN job.step IS 'The step''s id in the runbook.';
COMMENT ON COLUMN job.position IS 'Place in the plan, from 1.';
COMMENT ON COLUMN job.system IS 'The system whose worker does it.';
COMMENT ON COLUMN job.action IS 'The connector''s action.';
COMMENT ON COLUMN job.effect IS 'What the action does: identify, revoke, handover, destroy, notify.';
COMMENT ON COLUMN job.needs IS 'Jobs it waits for.';
COMMENT ON COLUMN job.run_when IS 'The step''s `when`: on_success, on_failure or always.';
COMMENT ON COLUMN job.after_us IS
    'Microseconds, scaled by clock.day, from the later of effective_at and the actual start; it runs no earlier.';
COMMENT ON COLUMN job.spec IS 'The step as planned.';
COMMENT ON COLUMN job.state IS
    'waiting (for jobs, its phase or the start), ready (published, or in due), succeeded, skipped, failed, cancelled.';
COMMENT ON COLUMN job.attempt IS 'Number of its latest publication, the one that is due included; 0: none yet.';
COMMENT ON COLUMN job.due_at IS 'When that publication was or is to run.';
COMMENT ON COLUMN job.changed_at IS 'When its row last changed.';
COMMENT ON COLUMN job.outcome IS
    'Last outcome: succeeded, already_done, skipped, missing, unconfigured, deferred, failed, blocked, denied, cancelled.';
COMMENT ON COLUMN job.status_code IS 'The vendor''s last HTTP status; 0: none.';
COMMENT ON COLUMN job.personal IS
    'Sealed: `reason` (why it is in this state, in one sentence), `outputs` (what the action put out for later steps), `saved` (where a deferred or failed job goes on: the message''s `state`), `verified` (the read-back: expected, seen, at, ok); null: none of them, or erased.';
COMMENT ON COLUMN job.verified_at IS 'When the read-back saw the wanted state.';
COMMENT ON COLUMN job.answered_at IS 'Timestamp of the last event about it.';
COMMENT ON COLUMN job.duration_ms IS 'How long the last attempt ran.';
COMMENT ON COLUMN job.follower IS 'Of a job that carries results of others (the runbook''s mirror and notify): the follower''s name; null for a step.';
COMMENT ON COLUMN job.carries IS 'Of such a job: the ids of the results that it carries.';
COMMENT ON COLUMN job.before_image IS
    'What there was before the first change, by account ("" for none): what the connector''s `before` says. For undo. Sealed; null once erased.';

-- An index on job.state would cost every change of state its HOT update.
CREATE TABLE open_job (
    job_id uuid PRIMARY KEY REFERENCES job,
    offboarding_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('ready', 'failed')),
    due_at timestamptz
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000);
COMMENT ON TABLE open_job IS
    'The jobs that are ready or failed, so that nobody has to read all jobs to find them. change_job_state() keeps it.';
COMMENT ON COLUMN open_job.job_id IS 'The job.';
COMMENT ON COLUMN open_job.offboarding_id IS 'Its offboarding.';
COMMENT ON COLUMN open_job.state IS 'Its state: ready or failed.';
COMMENT ON COLUMN open_job.due_at IS 'When its latest publication was or is to run.';

-- ---- who is told what became of jobs --------------------------------------------------------------------------------

CREATE TABLE follower (
    offboarding_id uuid NOT NULL REFERENCES offboarding,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('mirror', 'on_failure', 'on_phase_end')),
    spec jsonb NOT NULL,
    needs uuid[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (offboarding_id, name)
);
COMMENT ON TABLE follower IS 'Whom the runbook''s mirror and notify tell of results. What they have been told is what their jobs carry.';
COMMENT ON COLUMN follower.offboarding_id IS 'Whose it is.';
COMMENT ON COLUMN follower.name IS 'mirror-1, on-failure-1, on-phase-end-1 and so on, in the order of the runbook.';
COMMENT ON COLUMN follower.kind IS
    'mirror: every result; on_failure: failures; on_phase_end: the whole phase, whenever nothing of it is under way.';
COMMENT ON COLUMN follower.spec IS 'The follower as planned.';
COMMENT ON COLUMN follower.needs IS 'Jobs that must have succeeded before it can tell anything.';

CREATE TABLE result (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    offboarding_id uuid NOT NULL REFERENCES offboarding,
    job_id uuid NOT NULL REFERENCES job,
    phase text NOT NULL,
    state text NOT NULL,
    sealed bytea NOT NULL
);
ALTER TABLE result ALTER sealed SET STORAGE EXTERNAL;
CREATE INDEX result_offboarding ON result (offboarding_id, id);
COMMENT ON TABLE result IS 'Results of steps, in their order, where a follower wants to know.';
COMMENT ON COLUMN result.id IS 'Their order.';
COMMENT ON COLUMN result.offboarding_id IS 'Whose it is.';
COMMENT ON COLUMN result.job_id IS 'The step''s job.';
COMMENT ON COLUMN result.phase IS 'Its phase.';
COMMENT ON COLUMN result.state IS 'The job''s state then.';
COMMENT ON COLUMN result.sealed IS 'phase, step, system, action, effect, state, outcome, message, at, outputs; sealed.';

-- ---- what the outside world says ------------------------------------------------------------------------------------

CREATE TABLE signal (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    key text NOT NULL,
    source text NOT NULL,
    actor jsonb,
    data jsonb,
    received_at timestamptz NOT NULL
);
CREATE INDEX signal_subject ON signal (name, key);
COMMENT ON TABLE signal IS 'What came in at POST /v1/signals: a parcel was delivered, a person has done a task. The first of an id counts.';
COMMENT ON COLUMN signal.id IS 'UUIDv5 of its source and its id there.';
COMMENT ON COLUMN signal.name IS 'What kind: the connector''s `wait.signal`.';
COMMENT ON COLUMN signal.key IS 'About what: the connector''s `wait.key`, such as a tracking number.';
COMMENT ON COLUMN signal.source IS 'The source file that took it in.';
COMMENT ON COLUMN signal.actor IS 'Who said so: kind, id, name.';
COMMENT ON COLUMN signal.data IS 'What the source maps of it.';
COMMENT ON COLUMN signal.received_at IS 'When the edge took it in.';

CREATE TABLE awaited (
    job_id uuid PRIMARY KEY REFERENCES job,
    signal text NOT NULL,
    key text NOT NULL,
    woken_at timestamptz
);
CREATE INDEX awaited_subject ON awaited (signal, key);
COMMENT ON TABLE awaited IS 'Which signal a job waits for, or last waited for: its state says whether it still does.';
COMMENT ON COLUMN awaited.job_id IS 'The job.';
COMMENT ON COLUMN awaited.signal IS 'Name of the signal.';
COMMENT ON COLUMN awaited.key IS 'About what.';
COMMENT ON COLUMN awaited.woken_at IS 'When a signal last brought its row in due forward: the row then has this time instead of job.due_at. Null: never.';

CREATE TABLE open_item (
    offboarding_id uuid NOT NULL REFERENCES offboarding,
    system text NOT NULL,
    kind text NOT NULL,
    item text NOT NULL,
    why text NOT NULL,
    job_id uuid NOT NULL REFERENCES job,
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    closed_by text,
    PRIMARY KEY (offboarding_id, system, kind, item)
);
CREATE INDEX open_item_open ON open_item (offboarding_id) WHERE closed_at IS NULL;
CREATE INDEX open_item_job ON open_item (job_id);
COMMENT ON TABLE open_item IS
    'What a step left in place on purpose, such as a group that brings a licence. An offboarding is not completed while one is open.';
COMMENT ON COLUMN open_item.offboarding_id IS 'The offboarding.';
COMMENT ON COLUMN open_item.system IS 'The system that it is in.';
COMMENT ON COLUMN open_item.kind IS 'What kind of thing it is: the connector''s `leaves`. The latest word of a system about a kind counts.';
COMMENT ON COLUMN open_item.item IS 'What it is, by its name at the vendor.';
COMMENT ON COLUMN open_item.why IS 'Why it was left.';
COMMENT ON COLUMN open_item.job_id IS 'The job that left it.';
COMMENT ON COLUMN open_item.opened_at IS 'When that was recorded.';
COMMENT ON COLUMN open_item.closed_at IS 'When it was resolved; null while it is open.';
COMMENT ON COLUMN open_item.closed_by IS 'The step, or the person, that resolved it.';

-- ---- what is due ----------------------------------------------------------------------------------------------------

CREATE TABLE due (
    due_at timestamptz NOT NULL,
    offboarding_id uuid NOT NULL,
    job_id uuid,
    attempt integer,
    phase text,
    CHECK ((job_id IS NULL) <> (phase IS NULL)),
    CHECK ((job_id IS NULL) = (attempt IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000);
CREATE INDEX due_due_at ON due (due_at);
COMMENT ON TABLE due IS
    'What the scheduler will publish: jobs, and phases whose time comes. A row that no longer agrees with its job or phase is stale and is dropped unpublished.';
COMMENT ON COLUMN due.due_at IS 'When to publish it.';
COMMENT ON COLUMN due.offboarding_id IS 'Whose it is.';
COMMENT ON COLUMN due.job_id IS 'The job; null for a phase.';
COMMENT ON COLUMN due.attempt IS 'The job''s attempt that this row publishes.';
COMMENT ON COLUMN due.phase IS 'The phase (the first one also starts a waiting offboarding); null for a job.';

CREATE TABLE roster_notice (
    offboarding_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('ended', 'approved', 'erase')),
    PRIMARY KEY (offboarding_id, kind)
);
COMMENT ON TABLE roster_notice IS
    'What the planner has to know of offboardings: the scheduler publishes each row on offboard.roster, and deletes it.';
COMMENT ON COLUMN roster_notice.offboarding_id IS 'The offboarding.';
COMMENT ON COLUMN roster_notice.kind IS 'ended: it is over, and the person may leave again; approved: it is held no longer; erase: its key is to be deleted.';

CREATE TABLE early_result (
    event_id uuid NOT NULL,
    offboarding_id uuid NOT NULL,
    job_id uuid,
    name text NOT NULL,
    occurred_at timestamptz NOT NULL,
    topic text NOT NULL,
    kafka_partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    sealed bytea,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    applied_at timestamptz,
    note text,
    PRIMARY KEY (topic, kafka_partition, kafka_offset)
);
CREATE INDEX early_result_offboarding ON early_result (offboarding_id) WHERE applied_at IS NULL;
CREATE INDEX early_result_event ON early_result (event_id);
COMMENT ON TABLE early_result IS
    'Answers of workers that were recorded before the offboarding they belong to, which stands on another topic. They are applied when it is recorded.';
COMMENT ON COLUMN early_result.event_id IS 'The event.';
COMMENT ON COLUMN early_result.offboarding_id IS 'The offboarding that was not recorded yet.';
COMMENT ON COLUMN early_result.job_id IS 'The job.';
COMMENT ON COLUMN early_result.name IS 'The event''s name.';
COMMENT ON COLUMN early_result.occurred_at IS 'The event''s own timestamp.';
COMMENT ON COLUMN early_result.topic IS 'Kafka topic it was read from.';
COMMENT ON COLUMN early_result.kafka_partition IS 'Kafka partition it was read from.';
COMMENT ON COLUMN early_result.kafka_offset IS 'Its Kafka offset.';
COMMENT ON COLUMN early_result.sealed IS 'The event, sealed; null once it was applied, or erased.';
COMMENT ON COLUMN early_result.recorded_at IS 'When the logger read it.';
COMMENT ON COLUMN early_result.applied_at IS 'When the offboarding was recorded, and this was applied; null: it waits.';
COMMENT ON COLUMN early_result.note IS 'What the logger made of it then, when it changed nothing.';

CREATE TABLE pause_wanted (
    system text PRIMARY KEY,
    reason text NOT NULL,
    wanted_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE pause_wanted IS
    'Systems whose worker asks for a pause because its credentials were refused: the scheduler publishes the order on offboard.control, and deletes the row.';
COMMENT ON COLUMN pause_wanted.system IS 'The system.';
COMMENT ON COLUMN pause_wanted.reason IS 'Why, as its worker says it.';
COMMENT ON COLUMN pause_wanted.wanted_at IS 'When the logger recorded it.';

-- ---- the audit ------------------------------------------------------------------------------------------------------

CREATE TABLE event (
    recorded_at timestamptz NOT NULL DEFAULT now(),
    topic text NOT NULL,
    kafka_partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    occurred_at timestamptz NOT NULL,
    offboarding_id uuid,
    job_id uuid,
    phase text,
    step text,
    system text,
    action text,
    attempt integer,
    outcome text,
    status_code integer,
    note text,
    body json,
    salt bytea,
    sealed bytea,
    person_digest bytea,
    commitment bytea NOT NULL,
    hash bytea NOT NULL
) PARTITION BY RANGE (recorded_at);
ALTER TABLE event ALTER sealed SET STORAGE EXTERNAL;
CREATE INDEX event_offboarding ON event (offboarding_id, occurred_at);
CREATE INDEX event_recorded_at ON event USING brin (recorded_at) WITH (pages_per_range = 32);
CREATE INDEX event_position ON event (topic, kafka_partition, kafka_offset);
CREATE FUNCTION is_order(event_name text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN event_name LIKE 'order.%'
    OR event_name IN ('control.cancel', 'control.uncancel', 'control.pause', 'control.resume', 'dead.replayed', 'secret.revealed');
COMMENT ON FUNCTION is_order(text) IS 'Does an event of this name tell of an order: of a person, of the HR system or of a worker?';
CREATE INDEX event_order ON event (id) WHERE is_order(name);
CREATE INDEX event_violation ON event (recorded_at) WHERE name = 'violation' OR note LIKE 'not believed: %';
CREATE INDEX event_person ON event (person_digest) WHERE person_digest IS NOT NULL;
CREATE INDEX event_signal ON event ((body #>> '{context,signal,key}')) WHERE name = 'signal';
COMMENT ON TABLE event IS
    'Every event and every control record, exactly once, append-only, in a hash chain per Kafka partition (verify_event_chain). Columns in clear hold no personal data; sealed and body are behind a commitment and can be erased without breaking the chain.';
COMMENT ON COLUMN event.recorded_at IS 'When the logger wrote it; chooses the partition.';
COMMENT ON COLUMN event.topic IS 'Kafka topic it was read from.';
COMMENT ON COLUMN event.kafka_partition IS 'Kafka partition it was read from.';
COMMENT ON COLUMN event.kafka_offset IS 'Its Kafka offset.';
COMMENT ON COLUMN event.id IS 'The event''s id; two rows with one id are one event that was produced twice.';
COMMENT ON COLUMN event.name IS 'What happened, as in messages.md; control.pause, .resume, .cancel and .uncancel for control records, .key and .unkey for idempotency keys of orders; violation for what its writer had no right to say.';
COMMENT ON COLUMN event.occurred_at IS 'The event''s own timestamp.';
COMMENT ON COLUMN event.offboarding_id IS 'The offboarding concerned; null when there is none.';
COMMENT ON COLUMN event.job_id IS 'The job concerned.';
COMMENT ON COLUMN event.phase IS 'Its phase.';
COMMENT ON COLUMN event.step IS 'Its step.';
COMMENT ON COLUMN event.system IS 'Its system.';
COMMENT ON COLUMN event.action IS 'Its action.';
COMMENT ON COLUMN event.attempt IS 'The publication of the job that this answers.';
COMMENT ON COLUMN event.outcome IS 'Its outcome.';
COMMENT ON COLUMN event.status_code IS 'The vendor''s last HTTP status; 0: none.';
COMMENT ON COLUMN event.note IS 'What the logger made of it when it changed nothing: a refused order, a late or unknown job, a violation; of one that came early, that it did (see early_result).';
COMMENT ON COLUMN event.body IS 'Of a record that came in clear (those without an offboarding, and control records): the whole event, byte for byte as it came; of a control record {key, value, order}. Null once erased. May hold personal data.';
COMMENT ON COLUMN event.salt IS 'Random bytes before the body in the commitment; erased with it.';
COMMENT ON COLUMN event.sealed IS
    'Of a record that came sealed (those of an offboarding): its value, byte for byte as Kafka has it; opened() reads it. Null once erased.';
COMMENT ON COLUMN event.person_digest IS
    'Digest of the person whom an event without an offboarding names (intake, control.cancel, control.uncancel), by which an erasure finds it.';
COMMENT ON COLUMN event.commitment IS 'SHA-256 of the sealed bytes; of a record that came in clear, of salt and body.';
COMMENT ON COLUMN event.hash IS
    'SHA-256 of the hash before it in its Kafka partition, the columns in clear and the commitment.';
CREATE TABLE event_default (LIKE event INCLUDING ALL); -- with the comments, which PARTITION OF would leave behind
COMMENT ON TABLE event_default IS 'A net for events of months that have no partition; make_event_partitions() empties it.';
ALTER TABLE event ATTACH PARTITION event_default DEFAULT;

CREATE TABLE definition (
    hash text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('source', 'runbook', 'connector')),
    name text NOT NULL,
    text text NOT NULL,
    file text,
    published_by text,
    published_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX definition_name ON definition (kind, name);
COMMENT ON TABLE definition IS 'Texts of every source, runbook and connector that a plan was made from.';
COMMENT ON COLUMN definition.hash IS 'SHA-256 of the file''s bytes, as plans name it.';
COMMENT ON COLUMN definition.kind IS 'source, runbook or connector.';
COMMENT ON COLUMN definition.name IS 'The definition''s name.';
COMMENT ON COLUMN definition.text IS 'The file as it was read.';
COMMENT ON COLUMN definition.file IS 'The file it was read from.';
COMMENT ON COLUMN definition.published_by IS 'The process that brought it (the event''s ce_source).';
COMMENT ON COLUMN definition.published_at IS 'When it was first published.';
COMMENT ON COLUMN definition.recorded_at IS 'When the logger wrote the row.';

-- ---- the logger's position, and orders for everybody ----------------------------------------------------------------

CREATE TABLE kafka_offset (
    topic text NOT NULL,
    kafka_partition integer NOT NULL,
    next bigint NOT NULL DEFAULT 0,
    head bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, kafka_partition)
) WITH (fillfactor = 10);
COMMENT ON TABLE kafka_offset IS
    'How far the logger has read. Moved in the transaction that writes the events, from the value the logger knows: who finds another value has lost the partition.';
COMMENT ON COLUMN kafka_offset.topic IS 'Kafka topic.';
COMMENT ON COLUMN kafka_offset.kafka_partition IS 'Kafka partition.';
COMMENT ON COLUMN kafka_offset.next IS 'Offset of the next message to read.';
COMMENT ON COLUMN kafka_offset.head IS 'Hash of the partition''s last event row; zeros before the first.';
COMMENT ON COLUMN kafka_offset.updated_at IS 'When it last moved.';

CREATE TABLE system_pause (
    system text PRIMARY KEY,
    reason text,
    actor jsonb,
    paused_at timestamptz NOT NULL
);
COMMENT ON TABLE system_pause IS 'Systems whose workers start no job, by order or because credentials were refused.';
COMMENT ON COLUMN system_pause.system IS 'The system.';
COMMENT ON COLUMN system_pause.reason IS 'Why.';
COMMENT ON COLUMN system_pause.actor IS 'Who paused it.';
COMMENT ON COLUMN system_pause.paused_at IS 'Since when.';

CREATE TABLE system_state (
    system text PRIMARY KEY,
    state text CHECK (state IN ('up', 'down', 'refused', 'throttled')),
    since timestamptz,
    status_code integer,
    why text,
    unattended_since timestamptz
);
COMMENT ON TABLE system_state IS 'How systems are, as their workers said last when that changed, and whether they have workers.';
COMMENT ON COLUMN system_state.system IS 'The system.';
COMMENT ON COLUMN system_state.state IS
    'up, down (its circuit is open: no answer, or errors of its own), refused (it rejects our credentials), throttled; null: no worker has said.';
COMMENT ON COLUMN system_state.since IS 'Since when it is in this state.';
COMMENT ON COLUMN system_state.status_code IS 'The vendor''s HTTP status that showed it; 0: none.';
COMMENT ON COLUMN system_state.why IS 'What the vendor said, or why it did not.';
COMMENT ON COLUMN system_state.unattended_since IS 'Since when jobs wait that no worker takes; null: it has a worker, or nothing waits.';

CREATE TABLE cancellation (
    subject text PRIMARY KEY,
    reason text,
    actor jsonb,
    cancelled_at timestamptz NOT NULL,
    duplicate_of uuid,
    record uuid
);
COMMENT ON TABLE cancellation IS
    'Cancellations of offboard.control. Kept, as the order and the offboarding travel on different topics and either may come first.';
COMMENT ON COLUMN cancellation.subject IS 'Id of an offboarding, or the digest (hexadecimal) of a key of a person: e-mail in lower case, employee id, or account.';
COMMENT ON COLUMN cancellation.reason IS 'Why.';
COMMENT ON COLUMN cancellation.actor IS 'Who cancelled.';
COMMENT ON COLUMN cancellation.duplicate_of IS 'The offboarding of the same person that goes on; null: it was cancelled.';
COMMENT ON COLUMN cancellation.record IS 'The control record that says so: its event''s id.';
COMMENT ON COLUMN cancellation.cancelled_at IS 'Of a person, all offboardings received up to then are cancelled.';

-- ---- months of events -----------------------------------------------------------------------------------------------

-- Runs with its owner's rights: the logger may not make tables of its own.
CREATE FUNCTION make_event_partitions(ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    month timestamptz;
    part text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('offboard make_event_partitions'));
    FOR month IN SELECT generate_series(date_trunc('month', now()), date_trunc('month', now()) + ahead * interval '1 month',
                                        interval '1 month')
    LOOP
        part := 'event_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE event INCLUDING ALL)', part);
        EXECUTE format('COMMENT ON TABLE %I IS %L', part, 'Events recorded in ' || to_char(month, 'YYYY-MM') || ' (UTC).');
        EXECUTE format('WITH moved AS (DELETE FROM event_default WHERE recorded_at >= %L AND recorded_at < %L RETURNING *)'
                       ' INSERT INTO %I SELECT * FROM moved', month, month + interval '1 month', part);
        EXECUTE format('ALTER TABLE event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, month,
                       month + interval '1 month');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION make_event_partitions(integer) IS
    'Makes the partitions of event for this month and so many ahead, and moves in what the default partition caught. Returns how many it made.';
