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
    -- and one that was installed anew has another node
    node_id = CASE
        WHEN (%(admitted)s::boolean AND NOT admitted) OR %(ssh_host_key)s::text = '' THEN NULL
        ELSE node_id
    END,
    -- empty: whichever key it shows at the next deployment
    ssh_host_key = CASE
        WHEN %(ssh_host_key)s::text IS NULL THEN ssh_host_key
        ELSE nullif(%(ssh_host_key)s::text, '')
    END,
    status = CASE
        WHEN %(admitted)s::boolean
            THEN CASE WHEN admitted AND status <> 'installation_failed' THEN status ELSE 'unknown' END
        WHEN NOT %(admitted)s::boolean THEN 'down'
        ELSE status
    END,
    status_reason = CASE
        WHEN %(admitted)s::boolean AND (NOT admitted OR status = 'installation_failed')
            THEN 'its node has not answered yet'
        WHEN NOT %(admitted)s::boolean THEN 'taken out of placement'
        ELSE status_reason
    END,
    updated_at = now()
WHERE id = %(id)s
RETURNING *;

-- name: list_host_users
-- What stands in the way of forgetting a host, in words.
(SELECT 'VM ' || name AS who FROM vms WHERE host_id = %(id)s ORDER BY name)
UNION ALL
(SELECT 'storage pool ' || name FROM storage_pools WHERE host_id = %(id)s ORDER BY name)
UNION ALL
(SELECT 'storage object ' || name FROM storage_objects WHERE host_id = %(id)s ORDER BY name);

-- name: delete_host
-- Forget a host that nothing is on.
DELETE FROM hosts WHERE id = %(id)s RETURNING name;

-- name: list_watched_hosts
-- Hosts whose nodes are watched: those in placement, and those taken out of it that once answered.
SELECT * FROM hosts WHERE admitted OR node_id IS NOT NULL ORDER BY name;

-- name: lock_host
-- A host, held until the end of the transaction. Not from foreign keys: a row that one transaction writes twice has
-- them checked again, by somebody who holds a VM and must not wait for its host.
SELECT * FROM hosts WHERE id = %(id)s FOR NO KEY UPDATE;

-- name: update_reachable
-- A node answered: what it said of itself. The status of a deployment stays until the deployment changes it.
UPDATE hosts
SET
    reachable = true,
    status = CASE
        WHEN status IN ('installing', 'initializing', 'installation_failed') THEN status
        WHEN admitted THEN 'up'
        ELSE 'down'
    END,
    status_reason = CASE WHEN status = 'installation_failed' THEN status_reason ELSE %(reason)s::text END,
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
    status = CASE
        WHEN status IN ('installing', 'initializing', 'installation_failed') THEN status
        WHEN admitted THEN 'unknown'
        ELSE 'down'
    END,
    status_reason = CASE WHEN status = 'installation_failed' THEN status_reason ELSE %(reason)s::text END,
    updated_at = now()
WHERE
    id = %(id)s
    AND (
        reachable
        OR (status <> 'installation_failed' AND status_reason IS DISTINCT FROM %(reason)s::text)
        OR (admitted AND status NOT IN ('unknown', 'installing', 'initializing', 'installation_failed'))
    )
RETURNING id;

-- name: touch_hosts
-- Heartbeats of many hosts at once. They are locked by `lock_hosts` before: a statement that locks a row and then
-- writes the version it saw at its start can be in the way of another one that waits for the row.
UPDATE hosts SET last_seen_at = now() WHERE id = ANY(%(ids)s::uuid []);

-- name: lock_hosts
-- Hosts that are about to be claimed of, always locked in the same order.
SELECT id FROM hosts WHERE id = ANY(%(ids)s::uuid []) ORDER BY id FOR NO KEY UPDATE;

-- name: claim_hosts
-- Promise shares of hosts, of each that still has all that is asked of it.
UPDATE hosts
SET
    allocated_vcpus = hosts.allocated_vcpus + s.vcpus,
    allocated_memory_bytes = hosts.allocated_memory_bytes + s.memory,
    updated_at = now()
FROM json_to_recordset(%(shares)s::json) AS s (host_id uuid, vcpus bigint, memory bigint)
WHERE
    hosts.id = s.host_id
    AND hosts.status = 'up'
    AND hosts.allocated_vcpus + s.vcpus <= floor(hosts.cpus * %(cpu_overcommit)s::numeric)
    AND hosts.allocated_memory_bytes + s.memory <= floor(hosts.memory_bytes * %(memory_overcommit)s::numeric)
RETURNING hosts.*, resource_json('host', hosts.id)::text AS before;

-- name: release_host
-- Give a VM's share back.
UPDATE hosts
SET
    allocated_vcpus = allocated_vcpus - %(vcpus)s,
    allocated_memory_bytes = allocated_memory_bytes - %(memory)s,
    updated_at = now()
WHERE id = %(id)s
RETURNING name, resource_json('host', hosts.id)::text AS before;

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

-- name: list_host_resources
-- Hosts as their GETs answer them.
SELECT r.* FROM host_resources AS r
WHERE
    (%(name)s::text IS NULL OR r.name = %(name)s::text)
    AND (%(status)s::text IS NULL OR r.status = %(status)s::text);
