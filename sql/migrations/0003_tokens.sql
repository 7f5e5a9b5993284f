-- Who may use the API when auth.required is set. A token itself is nowhere: only its SHA-256.
-- Rows are never deleted, so that the actor of an old event can be told.

CREATE TABLE tokens (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    -- the actor of every event and operation that comes in with the token
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    -- SHA-256 of the token in hexadecimal
    digest text NOT NULL CONSTRAINT tokens_digest_taken UNIQUE CHECK (digest ~ '^[0-9a-f]{64}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- null: it does not expire
    expires_at timestamptz,
    revoked_at timestamptz,
    -- to the minute
    last_used_at timestamptz
);

CREATE UNIQUE INDEX tokens_name_taken ON tokens (name) WHERE revoked_at IS NULL;
