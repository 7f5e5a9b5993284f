-- name: insert_placements
-- Keep why VMs are where they are.
INSERT INTO placements (vm_id, decision)
SELECT
    p.vm_id,
    p.decision
FROM json_to_recordset(%(placements)s::json) AS p (vm_id uuid, decision jsonb);

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
