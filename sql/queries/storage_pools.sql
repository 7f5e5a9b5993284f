-- name: list_storage_pools
-- A page of pools as JSON text, or all of them; the key of the last one leads to the next page.
SELECT
    coalesce(json_agg(page), '[]')::text AS body,
    count(*) AS length,
    CASE
        WHEN %(limit)s::bigint IS NULL THEN count(*)
        ELSE (
            SELECT count(*) FROM storage_pools AS r
            WHERE
                (%(name)s::text IS NULL OR r.name = %(name)s::text)
                AND (%(status)s::text IS NULL OR r.status = %(status)s::text)
                AND (%(host_id)s::uuid IS NULL OR r.host_id = %(host_id)s::uuid)
        )
    END AS total,
    (array_agg(page.id) FILTER (WHERE %(limit)s::bigint IS NOT NULL))[count(*)] AS last_id,
    (array_agg(page.name) FILTER (WHERE %(limit)s::bigint IS NOT NULL))[count(*)] AS last_name,
    (array_agg(page.created_at) FILTER (WHERE %(limit)s::bigint IS NOT NULL))[count(*)]::text AS last_time
FROM (
    SELECT r.* FROM storage_pool_resources AS r
    WHERE
        (%(name)s::text IS NULL OR r.name = %(name)s::text)
        AND (%(status)s::text IS NULL OR r.status = %(status)s::text)
        AND (%(host_id)s::uuid IS NULL OR r.host_id = %(host_id)s::uuid)
        AND (
            %(after_id)s::uuid IS NULL
            OR CASE %(sort)s::text
                WHEN 'name' THEN (r.name, r.id) > (%(after_name)s::text, %(after_id)s::uuid)
                WHEN '-name' THEN (r.name, r.id) < (%(after_name)s::text, %(after_id)s::uuid)
                WHEN '-created_at' THEN (r.created_at, r.id) < (%(after_time)s::timestamptz, %(after_id)s::uuid)
                ELSE (r.created_at, r.id) > (%(after_time)s::timestamptz, %(after_id)s::uuid)
            END
        )
    ORDER BY
        CASE WHEN %(sort)s::text = 'name' THEN r.name END ASC,
        CASE WHEN %(sort)s::text = '-name' THEN r.name END DESC,
        CASE WHEN %(sort)s::text = 'created_at' THEN r.created_at END ASC,
        CASE WHEN %(sort)s::text = '-created_at' THEN r.created_at END DESC,
        CASE WHEN left(%(sort)s::text, 1) <> '-' THEN r.id END ASC,
        CASE WHEN left(%(sort)s::text, 1) = '-' THEN r.id END DESC
    LIMIT %(limit)s::bigint
) AS page;

-- name: get_storage_pool_document
-- A pool as its GET answers it.
SELECT to_json(r)::text AS document FROM storage_pool_resources AS r
WHERE r.id = %(id)s::uuid;

-- name: get_storage_pool
-- A pool for what is decided about it.
SELECT * FROM storage_pools
WHERE id = %(id)s::uuid;

-- name: lock_storage_pool
-- A pool that nothing new can refer to until the end of the transaction.
SELECT * FROM storage_pools
WHERE id = %(id)s::uuid
FOR UPDATE;

-- name: insert_storage_pool
-- A new pool; it is taken at its word until its node says otherwise.
INSERT INTO storage_pools (id, name, pool_type, config, capacity_bytes, host_id)
VALUES (
    %(id)s::uuid, %(name)s, %(pool_type)s, %(config)s::jsonb, %(capacity_bytes)s::bigint, %(host_id)s::uuid
);

-- name: list_storage_pool_users
-- What stands in the way of deleting a pool, in words.
SELECT 'storage object ' || name AS who FROM storage_objects
WHERE storage_pool_id = %(id)s::uuid
UNION ALL
SELECT 'transfer ' || name || ' (' || status || ')' FROM transfers
WHERE storage_pool_id = %(id)s::uuid AND status IN ('pending', 'running')
ORDER BY who;

-- name: delete_storage_pool_transfers
-- Transfers that are over go with their pool.
DELETE FROM transfers
WHERE storage_pool_id = %(id)s::uuid;

-- name: delete_storage_pool
-- Forget a pool; its directory and files stay.
DELETE FROM storage_pools
WHERE id = %(id)s::uuid;

-- name: settle_storage_pool
-- What a node says of a pool; no row when it says nothing new.
UPDATE storage_pools
SET
    status = %(status)s,
    status_reason = %(status_reason)s,
    capacity_bytes = coalesce(capacity_bytes, %(capacity_bytes)s::bigint),
    updated_at = now()
WHERE
    id = %(id)s::uuid
    AND (
        status <> %(status)s
        OR status_reason IS DISTINCT FROM %(status_reason)s::text
        OR (capacity_bytes IS NULL AND %(capacity_bytes)s::bigint IS NOT NULL)
    )
RETURNING name;

-- name: list_storage_pools_to_check
-- The pools in use that a node should be asked about.
SELECT p.* FROM storage_pools AS p
WHERE EXISTS (SELECT 1 FROM storage_objects AS o WHERE o.storage_pool_id = p.id)
ORDER BY p.created_at, p.id;
