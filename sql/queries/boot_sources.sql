-- name: list_boot_source_resources
-- Boot sources as their GETs answer them.
SELECT r.* FROM boot_source_resources AS r
WHERE
    (%(name)s::text IS NULL OR r.name = %(name)s::text);

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
