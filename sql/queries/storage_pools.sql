-- name: list_storage_pool_resources
-- Pools as their GETs answer them.
SELECT r.* FROM storage_pool_resources AS r
WHERE
    (%(name)s::text IS NULL OR r.name = %(name)s::text)
    AND (%(status)s::text IS NULL OR r.status = %(status)s::text)
    AND (%(host_id)s::uuid IS NULL OR r.host_id = %(host_id)s::uuid);

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

-- name: list_all_storage_pools
-- Every pool, for a look at it on its hosts.
SELECT * FROM storage_pools
ORDER BY created_at, id;
