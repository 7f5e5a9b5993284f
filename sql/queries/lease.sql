-- name: claim_lease
-- Become the active server: when nobody is, when it was this very server before it restarted, or when the lease was
-- not renewed for as long as it lasts, by the clock of whoever watched it (this database's may have been set back).
-- The number grows past the milliseconds since 1970, so that nodes obey a database that lost its newest commits, that
-- was restored from a backup or that is new.
INSERT INTO lease (holder, fence, expires_at)
VALUES (
    %(holder)s,
    (extract(EPOCH FROM clock_timestamp()) * 1000)::bigint,
    clock_timestamp() + make_interval(secs => %(seconds)s)
)
ON CONFLICT (only_one) DO UPDATE
SET
    holder = excluded.holder,
    fence = greatest(lease.fence + 1, excluded.fence),
    expires_at = excluded.expires_at
WHERE
    lease.expires_at < clock_timestamp()
    OR lease.holder = excluded.holder
    OR lease.fence || ' ' || extract(EPOCH FROM lease.expires_at) = %(stale)s::text
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
-- What changes with every renewal of the lease.
SELECT fence || ' ' || extract(EPOCH FROM expires_at) FROM lease;
