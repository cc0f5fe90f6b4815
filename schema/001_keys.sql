-- The personal data of an offboarding are sealed with a key of its own. Deleting the key erases every copy of them, those in archived
-- WAL and in backups as well. Kafka's topic offboard.keys has the keys; the logger brings them here.

CREATE EXTENSION IF NOT EXISTS pgcrypto SCHEMA public;

-- Unlogged: neither WAL nor a base backup nor a standby holds a key. No statistics: ANALYZE would write samples into pg_statistic, which is
-- logged.
CREATE UNLOGGED TABLE personal_key (
    offboarding_id uuid PRIMARY KEY,
    key bytea NOT NULL CHECK (length(key) = 32),
    encrypts bytea NOT NULL GENERATED ALWAYS AS (hmac('offboard seal'::bytea, key, 'sha256')) STORED,
    signs bytea NOT NULL GENERATED ALWAYS AS (hmac('offboard sign'::bytea, key, 'sha256')) STORED
);
ALTER TABLE personal_key ALTER key SET STATISTICS 0, ALTER encrypts SET STATISTICS 0, ALTER signs SET STATISTICS 0;
COMMENT ON TABLE personal_key IS
    'Keys of offboardings'' personal data, as Kafka''s topic offboard.keys has them. Empty after a crash or a failover, until a logger has filled it. The nil id has the key of person_digests(), and says that the table was filled. Never to be dumped: pg_dump --no-unlogged-table-data.';
COMMENT ON COLUMN personal_key.offboarding_id IS 'The offboarding; the nil id: the key of person_digests().';
COMMENT ON COLUMN personal_key.key IS 'Its key, 32 random bytes.';
COMMENT ON COLUMN personal_key.encrypts IS 'The key that encrypts, made of it.';
COMMENT ON COLUMN personal_key.signs IS 'The key that signs, made of it.';

CREATE TABLE key_check (
    digest bytea PRIMARY KEY
);
CREATE UNIQUE INDEX key_check_one ON key_check ((true));
COMMENT ON TABLE key_check IS
    'One row: which topic of keys this database belongs to. Keys of another one are not taken: with them nobody would be found, and all data would seem erased.';
COMMENT ON COLUMN key_check.digest IS 'HMAC-SHA256 of "offboard check" with the nil id''s key.';

CREATE FUNCTION missing_key(offboarding_id uuid) RETURNS personal_key
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'OB002',
        MESSAGE = format('the key of offboarding %s is not in the table personal_key: a logger has to bring it', offboarding_id);
END
$$;
COMMENT ON FUNCTION missing_key(uuid) IS 'Raises SQLSTATE OB002: what needs this key has to be tried again when a logger has brought it.';

-- The form of lib/seal.h: "OBS1", the IV, the ciphertext, the signature of all that and of the id.
CREATE FUNCTION sealed(offboarding_id uuid, plain text) RETURNS bytea
LANGUAGE plpgsql STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    keys personal_key;
    iv bytea := gen_random_bytes(16);
    signed bytea;
BEGIN
    SELECT * INTO keys FROM personal_key k WHERE k.offboarding_id = $1;
    IF NOT FOUND THEN
        PERFORM missing_key($1);
    END IF;
    signed := '\x4f425331'::bytea || iv || encrypt_iv(convert_to(plain, 'UTF8'), keys.encrypts, iv, 'aes-cbc/pad:pkcs');
    RETURN signed || hmac(convert_to($1::text, 'UTF8') || signed, keys.signs, 'sha256');
END
$$;
COMMENT ON FUNCTION sealed(uuid, text) IS
    'The text under the key of the offboarding, as lib/seal.h has it. SQLSTATE OB002 when the key is not there.';

-- On a standby the table can't be read.
CREATE FUNCTION opened(offboarding_id uuid, sealed bytea, required boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    keys personal_key;
    signed bytea := substr(sealed, 1, greatest(length(sealed) - 32, 0));
BEGIN
    IF pg_is_in_recovery() THEN
        RETURN NULL;
    END IF;
    SELECT * INTO keys FROM personal_key k WHERE k.offboarding_id = $1;
    IF NOT FOUND THEN
        PERFORM missing_key($1) WHERE required;
        RETURN NULL;
    END IF;
    IF length(sealed) < 68 OR substr(sealed, 1, 4) <> '\x4f425331'
       OR hmac(convert_to($1::text, 'UTF8') || signed, keys.signs, 'sha256') <> substr(sealed, length(signed) + 1) THEN
        RAISE EXCEPTION USING ERRCODE = 'data_exception',
            MESSAGE = format('sealed data of offboarding %s were altered, or sealed under another key', $1);
    END IF;
    RETURN convert_from(decrypt_iv(substr(signed, 21), keys.encrypts, substr(signed, 5, 16), 'aes-cbc/pad:pkcs'), 'UTF8');
END
$$;
COMMENT ON FUNCTION opened(uuid, bytea, boolean) IS
    'What was sealed for the offboarding. Null when its key is not there, as it was erased, or a logger has not brought it yet, or this is a standby; with `required` that is SQLSTATE OB002. An error when the bytes were altered.';

CREATE FUNCTION person_digests(keys text[]) RETURNS bytea[]
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    nil constant uuid := '00000000-0000-0000-0000-000000000000';
    secret bytea;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
            MESSAGE = 'a standby has no keys, so it finds nobody by e-mail or employee id: ask the primary server, or name an offboarding';
    END IF;
    SELECT k.key INTO secret FROM personal_key k WHERE k.offboarding_id = nil;
    IF secret IS NULL THEN
        PERFORM missing_key(nil);
    END IF;
    RETURN ARRAY(SELECT hmac(convert_to(p.key, 'UTF8'), secret, 'sha256') FROM unnest(keys) WITH ORDINALITY p (key, n) ORDER BY p.n);
END
$$;
COMMENT ON FUNCTION person_digests(text[]) IS
    'Digests of keys of people (e-mail in lower case, employee id, account), in their order: a person is found by them, and nobody reads them back. SQLSTATE OB002 when the nil id''s key is not there.';
