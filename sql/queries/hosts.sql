-- name: get_host
-- A host as it is kept.
SELECT * FROM hosts WHERE id = %(id)s;

-- name: get_host_document
-- A host as its GET answers it.
SELECT to_json(r)::text AS document FROM host_resources AS r WHERE r.id = %(id)s;

-- name: insert_host
-- Register a host; nobody is contacted.
INSERT INTO hosts (id, name, address, port, host_user)
VALUES (%(id)s, %(name)s, %(address)s, %(port)s, %(host_user)s);

-- name: update_host
-- Change what an operator may change; null leaves a column as it is. Another address is another node until it answers.
UPDATE hosts
SET
    address = coalesce(%(address)s, address),
    port = coalesce(%(port)s, port),
    host_user = coalesce(%(host_user)s, host_user),
    admitted = coalesce(%(admitted)s, admitted),
    -- set up anew, it accepts whichever node answers
    node_id = CASE WHEN %(admitted)s::boolean AND NOT admitted THEN NULL ELSE node_id END,
    status = CASE
        WHEN %(admitted)s::boolean THEN CASE WHEN admitted THEN status ELSE 'unknown' END
        WHEN NOT %(admitted)s::boolean THEN 'down'
        ELSE status
    END,
    status_reason = CASE
        WHEN %(admitted)s::boolean AND NOT admitted THEN 'its node has not answered yet'
        WHEN NOT %(admitted)s::boolean THEN 'taken out of placement'
        ELSE status_reason
    END,
    updated_at = now()
WHERE id = %(id)s
RETURNING *;

-- name: delete_host
-- Forget a host; the constraint on vms refuses while it has any.
DELETE FROM hosts WHERE id = %(id)s RETURNING name;

-- name: list_watched_hosts
-- Hosts whose nodes are watched: those in placement, and those taken out of it that once answered.
SELECT * FROM hosts WHERE admitted OR node_id IS NOT NULL ORDER BY name;

-- name: lock_host
-- A host, held until the end of the transaction. Not from foreign keys: a row that one transaction writes twice has
-- them checked again, by somebody who holds a VM and must not wait for its host.
SELECT * FROM hosts WHERE id = %(id)s FOR NO KEY UPDATE;

-- name: update_reachable
-- A node answered: what it said of itself.
UPDATE hosts
SET
    reachable = true,
    status = CASE WHEN admitted THEN 'up' ELSE 'down' END,
    status_reason = %(reason)s,
    node_id = %(node_id)s,
    boot_id = %(boot_id)s,
    versions = %(versions)s::jsonb,
    drivers = %(drivers)s::jsonb,
    usable_drivers = %(usable_drivers)s::text [],
    cpus = %(cpus)s,
    memory_bytes = %(memory_bytes)s,
    last_seen_at = now(),
    updated_at = now()
WHERE id = %(id)s;

-- name: update_unreachable
-- A node does not answer, or another one does; its VMs are unknown from here on.
UPDATE hosts
SET
    reachable = false,
    status = CASE WHEN admitted THEN 'unknown' ELSE 'down' END,
    status_reason = %(reason)s,
    updated_at = now()
WHERE
    id = %(id)s
    AND (reachable OR status_reason IS DISTINCT FROM %(reason)s OR (admitted AND status <> 'unknown'))
RETURNING id;

-- name: touch_hosts
-- Heartbeats of many hosts at once.
UPDATE hosts SET last_seen_at = now() WHERE id = ANY(%(ids)s::uuid []);

-- name: claim_host
-- Promise a VM's share of a host, if it is still there.
UPDATE hosts
SET
    allocated_vcpus = allocated_vcpus + %(vcpus)s,
    allocated_memory_bytes = allocated_memory_bytes + %(memory)s,
    updated_at = now()
WHERE
    id = %(id)s
    AND status = 'up'
    AND allocated_vcpus + %(vcpus)s <= floor(cpus * %(cpu_overcommit)s::numeric)
    AND allocated_memory_bytes + %(memory)s <= floor(memory_bytes * %(memory_overcommit)s::numeric)
RETURNING name, (SELECT to_json(r)::text FROM host_resources AS r WHERE r.id = hosts.id) AS before;

-- name: release_host
-- Give a VM's share back.
UPDATE hosts
SET
    allocated_vcpus = allocated_vcpus - %(vcpus)s,
    allocated_memory_bytes = allocated_memory_bytes - %(memory)s,
    updated_at = now()
WHERE id = %(id)s
RETURNING name, (SELECT to_json(r)::text FROM host_resources AS r WHERE r.id = hosts.id) AS before;

-- name: list_candidates
-- Every host with what placement looks at, and nothing else.
SELECT
    id,
    name,
    status,
    status_reason,
    usable_drivers,
    cpus,
    memory_bytes,
    allocated_vcpus,
    allocated_memory_bytes
FROM hosts;

-- name: list_hosts
-- Every host as it is kept.
SELECT * FROM hosts ORDER BY name;

-- name: list_hosts_page
-- A page of hosts as JSON text, or all of them; the key of the last one leads to the next page.
SELECT
    coalesce(json_agg(page), '[]')::text AS body,
    count(*) AS length,
    CASE
        WHEN %(limit)s::bigint IS NULL THEN count(*)
        ELSE (
            SELECT count(*) FROM host_resources AS r
            WHERE
                (%(name)s::text IS NULL OR r.name = %(name)s::text)
                AND (%(status)s::text IS NULL OR r.status = %(status)s::text)
        )
    END AS total,
    (array_agg(page.id) FILTER (WHERE %(limit)s::bigint IS NOT NULL))[count(*)] AS last_id,
    (array_agg(page.name) FILTER (WHERE %(limit)s::bigint IS NOT NULL))[count(*)] AS last_name,
    (array_agg(page.created_at) FILTER (WHERE %(limit)s::bigint IS NOT NULL))[count(*)]::text AS last_time
FROM (
    SELECT r.* FROM host_resources AS r
    WHERE
        (%(name)s::text IS NULL OR r.name = %(name)s::text)
        AND (%(status)s::text IS NULL OR r.status = %(status)s::text)
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
