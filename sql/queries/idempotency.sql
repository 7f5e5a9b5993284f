-- name: forget_old_key
-- A key is as good as new once it is older than the time answers are kept.
DELETE FROM idempotency_keys
WHERE actor = %(actor)s AND key = %(key)s AND created_at < now() - make_interval(hours => %(hours)s::int);

-- name: claim_key
-- Note the request under its key, or read what is noted there.
INSERT INTO idempotency_keys (actor, key, route, body_digest, subject_id)
VALUES (%(actor)s, %(key)s, %(route)s, %(body_digest)s, %(subject_id)s)
ON CONFLICT (actor, key) DO UPDATE SET actor = excluded.actor
RETURNING
    route,
    body_digest,
    subject_id,
    answer_status,
    answer_headers,
    answer_body,
    xmax <> 0 AS seen_before;

-- name: settle_key
-- Keep the answer for those who ask again.
UPDATE idempotency_keys
SET answer_status = %(status)s, answer_headers = %(headers)s::jsonb, answer_body = %(body)s
WHERE actor = %(actor)s AND key = %(key)s;

-- name: delete_old_keys
-- Forget all answers that are older than the time they are kept.
DELETE FROM idempotency_keys
WHERE created_at < now() - make_interval(hours => %(hours)s::int);

-- name: get_made
-- What a request under a key has made, as its GET answers it.
SELECT resource_json(%(subject_type)s::text, %(id)s::uuid)::text AS document;
