-- name: list_boot_sources
-- A page of boot sources as JSON text, or all of them; the key of the last one leads to the next page.
SELECT
    coalesce(json_agg(page), '[]')::text AS body,
    count(*) AS length,
    CASE
        WHEN %(limit)s::bigint IS NULL THEN count(*)
        ELSE (
            SELECT count(*) FROM boot_sources AS r
            WHERE
                (%(name)s::text IS NULL OR r.name = %(name)s::text)
        )
    END AS total,
    (array_agg(page.id) FILTER (WHERE %(limit)s::bigint IS NOT NULL))[count(*)] AS last_id,
    (array_agg(page.name) FILTER (WHERE %(limit)s::bigint IS NOT NULL))[count(*)] AS last_name,
    (array_agg(page.created_at) FILTER (WHERE %(limit)s::bigint IS NOT NULL))[count(*)]::text AS last_time
FROM (
    SELECT r.* FROM boot_source_resources AS r
    WHERE
        (%(name)s::text IS NULL OR r.name = %(name)s::text)
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

-- name: get_boot_source_document
-- A boot source as its GET answers it.
SELECT to_json(r)::text AS document FROM boot_source_resources AS r
WHERE r.id = %(id)s::uuid;

-- name: lock_boot_source
-- A boot source that nothing new can refer to until the end of the transaction.
SELECT * FROM boot_sources
WHERE id = %(id)s::uuid
FOR UPDATE;

-- name: insert_boot_source
-- A new boot source.
INSERT INTO boot_sources (id, name, description, kernel_image_id, initrd_image_id, kernel_params)
VALUES (
    %(id)s::uuid,
    %(name)s,
    %(description)s,
    %(kernel_image_id)s::uuid,
    %(initrd_image_id)s::uuid,
    %(kernel_params)s
);

-- name: list_boot_source_users
-- What stands in the way of deleting a boot source, in words.
SELECT 'VM ' || name AS who FROM vms
WHERE boot_source_id = %(id)s::uuid
ORDER BY who;

-- name: delete_boot_source
-- Forget a boot source; its images stay.
DELETE FROM boot_sources
WHERE id = %(id)s::uuid;
