-- Roles. Each may log in, but has no password: with scram nobody gets in until one is set (`\password offboard_logger`), with
-- `peer` or certificates none is needed. Or give people and services roles of their own: GRANT offboard_analyst TO anna.
-- Settings of a role are not inherited by its members: ALTER ROLE anna SET statement_timeout = '60s' as well, as a long
-- query holds old rows and slows the due table down. Roles belong to the whole cluster, so they may be there already.
DO $$
BEGIN
    CREATE ROLE offboard_logger LOGIN;
    COMMENT ON ROLE offboard_logger IS 'Offboard: writes events, states and due rows.';
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
DO $$
BEGIN
    CREATE ROLE offboard_scheduler LOGIN;
    COMMENT ON ROLE offboard_scheduler IS 'Offboard: reads what is due, deletes from due, nothing else.';
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
DO $$
BEGIN
    CREATE ROLE offboard_analyst LOGIN;
    ALTER ROLE offboard_analyst SET statement_timeout = '60s';
    ALTER ROLE offboard_analyst SET idle_in_transaction_session_timeout = '60s';
    ALTER ROLE offboard_analyst SET default_transaction_read_only = on;
    COMMENT ON ROLE offboard_analyst IS 'Offboard: reads the views of the schema analyst. A statement ends after 60 s.';
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
DO $$
BEGIN
    CREATE ROLE offboard_edge LOGIN;
    ALTER ROLE offboard_edge SET statement_timeout = '5s';
    ALTER ROLE offboard_edge SET default_transaction_read_only = on;
    COMMENT ON ROLE offboard_edge IS 'Offboard: asks what became of orders and HR events by their ids, nothing else.';
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

GRANT USAGE ON SCHEMA public TO offboard_logger, offboard_scheduler, offboard_edge;
GRANT USAGE ON SCHEMA public, analyst TO offboard_analyst;

-- Logger: job is changed by change_job_state() alone, event only grows.
GRANT SELECT, INSERT ON intake, job, due, event, definition, signal, roster_notice TO offboard_logger;
GRANT SELECT, INSERT, DELETE ON person_key TO offboard_logger;
GRANT SELECT, INSERT ON key_check TO offboard_logger;
GRANT SELECT (offboarding_id), INSERT (offboarding_id, key), DELETE ON personal_key TO offboard_logger; -- it writes keys and reads none
GRANT SELECT, INSERT, UPDATE ON offboarding, phase, kafka_offset, awaited, open_item, system_state, early_result TO offboard_logger;
GRANT SELECT, INSERT, DELETE ON pause_wanted TO offboard_logger;
GRANT SELECT, INSERT ON follower TO offboard_logger;
GRANT SELECT, DELETE ON open_job TO offboard_logger;
GRANT SELECT ON result TO offboard_logger;
GRANT SELECT, INSERT, UPDATE, DELETE ON system_pause, cancellation TO offboard_logger;

GRANT SELECT ON offboarding, person_key, phase, job, result, signal, awaited, due, kafka_offset, system_pause, system_state, open_job, open_item TO offboard_scheduler;
GRANT DELETE ON due TO offboard_scheduler;

GRANT SELECT ON ALL TABLES IN SCHEMA analyst TO offboard_analyst;

-- What runs with its owner's rights is for those who need it.
REVOKE ALL ON FUNCTION change_job_state(job_change[]), keep_before_images(uuid[], jsonb[]), make_event_partitions(integer), take_due(integer, text[]), take_notices(integer), take_pauses(), withdraw_due(uuid[], timestamptz), sealed(uuid, text), opened(uuid, bytea, boolean), person_digests(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sealed(uuid, text) TO offboard_logger;
GRANT EXECUTE ON FUNCTION opened(uuid, bytea, boolean) TO offboard_logger, offboard_scheduler, offboard_analyst;
GRANT EXECUTE ON FUNCTION person_digests(text[]) TO offboard_logger, offboard_scheduler;
GRANT EXECUTE ON FUNCTION change_job_state(job_change[]), keep_before_images(uuid[], jsonb[]), make_event_partitions(integer), withdraw_due(uuid[], timestamptz) TO offboard_logger;
GRANT EXECUTE ON FUNCTION take_due(integer, text[]), take_notices(integer), take_pauses() TO offboard_scheduler;
