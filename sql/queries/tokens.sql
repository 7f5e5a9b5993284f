-- name: insert_token
-- A new token by its digest; without a lifetime it does not expire.
INSERT INTO tokens (name, role, digest, expires_at)
VALUES (
    %(name)s,
    %(role)s,
    %(digest)s,
    now() + make_interval(secs => %(seconds)s::double precision)
)
RETURNING id, name, role, digest, created_at, expires_at, revoked_at, last_used_at, 'valid' AS status;

-- name: list_tokens
-- Every token there ever was, the newest last.
SELECT
    id,
    name,
    role,
    digest,
    created_at,
    expires_at,
    revoked_at,
    last_used_at,
    CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'valid' END AS status
FROM tokens
ORDER BY created_at, name;

-- name: use_token
-- The token of a digest, whatever its status; a valid one is noted as used, at most once a minute.
WITH used AS (
    UPDATE tokens SET last_used_at = now()
    WHERE
        digest = %(digest)s
        AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > now())
        AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
)

SELECT
    id,
    name,
    role,
    digest,
    created_at,
    expires_at,
    revoked_at,
    last_used_at,
    CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'valid' END AS status
FROM tokens
WHERE digest = %(digest)s;

-- name: revoke_token
-- From now on it lets nobody in.
UPDATE tokens SET revoked_at = now()
WHERE name = %(name)s AND revoked_at IS NULL
RETURNING id, name, role, digest, created_at, expires_at, revoked_at, last_used_at, 'revoked' AS status;

-- name: list_valid_ids
-- Which of these tokens still let their holder in.
SELECT id FROM tokens
WHERE id = any(%(ids)s::uuid []) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now());

-- name: list_valid_digests
-- The digests of all tokens that let their holder in.
SELECT digest FROM tokens
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now());
