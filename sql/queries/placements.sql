-- name: insert_placement
-- Keep why a VM is where it is.
INSERT INTO placements (vm_id, decision) VALUES (%(vm_id)s, %(decision)s::jsonb);

-- name: get_placement
-- Why a VM is where it is; null when the VM is there and was never placed.
SELECT
    v.id,
    p.decision,
    json_build_object('decided_at', p.decided_at) ->> 'decided_at' AS decided_at
FROM vms AS v
LEFT JOIN placements AS p ON v.id = p.vm_id
WHERE v.id = %(vm_id)s;

-- name: get_time
-- The database's clock in the contract's spelling.
SELECT json_build_object('now', now()) ->> 'now' AS now;
