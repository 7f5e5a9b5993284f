-- name: lock_migrations
-- One server migrates at a time; until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('qarax migrations'));

-- name: create_table
-- What has been applied so far.
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    digest text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: list_migrations
-- The applied ones with the digest of their text.
SELECT
    number,
    name,
    digest
FROM schema_migrations
ORDER BY number;

-- name: insert_migration
-- Note one as applied.
INSERT INTO schema_migrations (number, name, digest)
VALUES (%(number)s, %(name)s, %(digest)s);
