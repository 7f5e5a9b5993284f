#!/bin/bash
# The API as an operator types it: bare ids, no Content-Type on the last request, nothing but curl.
# API: the server's URL. IMAGES: where vmlinux and initrd are. POOL: a directory that is not there yet. PORT: a node's.
set -euo pipefail

curl() { command curl --silent --show-error --fail-with-body "$@"; }
json='Content-Type: application/json'

# A host is registered first, and set up once its node is there.
host=$(curl -X POST "$API/hosts" -H "$json" -d "{
  \"name\": \"node-1\", \"address\": \"127.0.0.1\", \"port\": $PORT, \"host_user\": \"root\", \"password\": \"\"}")
curl -X PATCH "$API/hosts/$host" -H "$json" -d '{"status": "up"}' | grep -q '"status":"up"'

# Images come into a pool by transfers.
pool=$(curl -X POST "$API/storage-pools" -H "$json" -d "{
  \"name\": \"images\", \"pool_type\": \"local\", \"config\": {\"path\": \"$POOL\"}, \"host_id\": \"$host\"}")
for image in vmlinux:kernel initrd:initrd; do
    curl -X POST "$API/storage-pools/$pool/transfers" -H "$json" -d "{
      \"name\": \"${image%:*}\", \"source\": \"$IMAGES/${image%:*}\", \"object_type\": \"${image#*:}\"}"
    echo
    until curl "$API/storage-pools/$pool/transfers?name=${image%:*}" | grep -q '"status":"completed"'; do
        ! curl "$API/storage-pools/$pool/transfers" | grep '"status":"failed"'
    done
done

id_of() { curl "$API/storage-objects?name=$1" | grep -o '"id":"[^"]*"' | cut -d'"' -f4; }
source=$(curl -X POST "$API/boot-sources" -H "$json" -d "{
  \"name\": \"linux\", \"kernel_image_id\": \"$(id_of vmlinux)\", \"initrd_image_id\": \"$(id_of initrd)\",
  \"kernel_params\": \"console=ttyS0 reboot=k panic=1\"}")

# A VM is created, and lives.
vm=$(curl -X POST "$API/vms" -H "$json" -d "{
  \"name\": \"my-first-vm\", \"hypervisor\": \"cloud_hv\", \"boot_vcpus\": 1, \"max_vcpus\": 1,
  \"memory_size\": 268435456, \"boot_source_id\": \"$source\"}")
is() { curl "$API/vms/$vm" | grep -q "\"status\":\"$1\"" || { echo "the VM is not $1"; exit 1; }; }
is created
curl -X POST "$API/vms/$vm/start" >/dev/null
is running
curl "$API/vms/$vm/console?tail=5"
curl -X POST "$API/vms/$vm/pause" >/dev/null
is paused
curl -X POST "$API/vms/$vm/resume" >/dev/null
is running
curl -X POST "$API/vms/$vm/stop" >/dev/null
is shutdown
curl -X POST "$API/vms/$vm/start" >/dev/null
is running
curl -X DELETE "$API/vms/$vm"

# Without a boot source it is the configured defaults; the body counts without a Content-Type too.
vm=$(curl -X POST "$API/vms" -d '{
  "name": "defaults", "hypervisor": "cloud_hv", "boot_vcpus": 1, "max_vcpus": 1, "memory_size": 268435456}')
is created
curl -X DELETE "$API/vms/$vm"
echo "walked through"
