-- name: list_figures
-- What there is, by kind and status, as readers are told of it.
SELECT 'hosts' AS kind, status, count(*) AS amount FROM hosts
GROUP BY status
UNION ALL
SELECT 'vms', CASE WHEN h.reachable THEN v.status ELSE 'unknown' END AS shown, count(*)
FROM vms AS v
INNER JOIN hosts AS h ON v.host_id = h.id
GROUP BY shown
UNION ALL
SELECT 'transfers', status, count(*) FROM transfers
GROUP BY status
UNION ALL
SELECT 'operations', status, count(*) FROM operations
GROUP BY status
ORDER BY kind, status;
