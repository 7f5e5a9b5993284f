-- name: claim_lease
-- Become the active server: when nobody is, or when it was this very server before it restarted.
INSERT INTO lease (holder, fence, expires_at)
VALUES (%(holder)s, 1, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (only_one) DO UPDATE
SET holder = excluded.holder, fence = lease.fence + 1, expires_at = excluded.expires_at
WHERE lease.expires_at < clock_timestamp() OR lease.holder = excluded.holder
RETURNING fence;

-- name: renew_lease
-- Stay the active server; no row: somebody else is.
UPDATE lease SET expires_at = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE holder = %(holder)s AND fence = %(fence)s
RETURNING fence;

-- name: release_lease
-- Let another server take over at once.
UPDATE lease SET expires_at = clock_timestamp()
WHERE holder = %(holder)s AND fence = %(fence)s;

-- name: get_lease
-- Who is active.
SELECT holder, fence, expires_at > clock_timestamp() AS held FROM lease;
