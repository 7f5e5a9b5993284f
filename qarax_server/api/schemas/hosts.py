"""Bodies and answers of hosts."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, post_load, validates_schema

from qarax_server.api.schemas.base import Answer, Body
from qarax_server.api.schemas.fields import (
    DRIVERS,
    Address,
    Bytes,
    Choice,
    Flag,
    FreeObject,
    Id,
    Name,
    Text,
    Time,
    Whole,
    matches,
)
from qarax_server.ssh.keys import PATTERN

HOST_ID = "1b6d0f7e-2a3c-4d5e-8f90-a1b2c3d4e5f6"
HOST_STATUSES = ("unknown", "down", "installing", "installation_failed", "initializing", "up")
WANTED_STATUSES = ("up", "down")
DEPLOY_MODES = ("direct", "bootc")
USER_PATTERN = "^[A-Za-z_][A-Za-z0-9_.-]{0,31}$"
USER_SENTENCE = "A user name: 1 to 32 letters, digits, '_', '.' or '-', starting with a letter or '_'."
HOST_KEY_PATTERN = f"^({PATTERN.strip('^$')})?$"
HOST_KEY_SENTENCE = "A public key as in /etc/ssh/ssh_host_ed25519_key.pub, type and base64; or empty."
IMAGE_VERSION_PATTERN = "^(sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9._-]{0,127})$"

_ADDRESS = {"example": "127.0.0.1"}
_PORT = {"example": 50051}
_USER = {"example": "root"}


class NewHost(Body):
    """A machine with a node on it. Registering does not contact it."""

    name = Name(required=True, metadata={"example": "host-1"})
    address = Address(required=True, metadata=_ADDRESS)
    port = Whole(1, 65535, required=True, metadata=_PORT | {"description": "Of the node's gRPC service."})
    host_user = fields.String(required=True, validate=matches(USER_PATTERN, USER_SENTENCE), metadata=_USER)
    password = fields.String(
        load_only=True, metadata={"example": "", "description": "Accepted and thrown away: never stored."}
    )

    @post_load
    def forget_password(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Nothing behind this line ever sees it."""
        data.pop("password", None)
        return data


class UpdateHostRequest(Body):
    """What changes of a host; what is left out stays."""

    status = Choice(
        *WANTED_STATUSES,
        metadata={
            "example": "up",
            "description": "`up` admits the host and asks its node at once, `down` takes it out of use.",
        },
    )
    address = Address(metadata=_ADDRESS)
    port = Whole(1, 65535, metadata=_PORT)
    host_user = fields.String(validate=matches(USER_PATTERN, USER_SENTENCE), metadata=_USER)
    ssh_host_key = fields.String(
        validate=matches(HOST_KEY_PATTERN, HOST_KEY_SENTENCE),
        metadata={
            "example": "",
            "description": "The SSH key the machine must show from now on; empty: whichever it shows next, "
            "for a machine that was installed anew.",
        },
    )

    @validates_schema
    def check_any(self, data: dict[str, Any], **_: Any) -> None:
        """At least one field."""
        if not data:
            raise ValidationError("Name at least one of status, address, port, host_user, ssh_host_key.")


class HostDriver(Answer):
    """What a driver says of itself on this host."""

    name = Choice(*DRIVERS, metadata={"example": "qemu"})
    version = fields.String(metadata={"example": "7.2.9"})
    accelerator = fields.String(metadata={"example": "tcg"})
    stand_in = Flag(metadata={"example": True})
    usable = Flag(metadata={"example": True})
    reason = fields.String(metadata={"example": "/dev/kvm is missing"})
    capabilities = fields.List(fields.String(metadata={"example": "pause"}))


class Host(Answer):
    """A machine with a node on it."""

    id = Id(metadata={"example": HOST_ID})
    name = Name(metadata={"example": "host-1"})
    address = fields.String(metadata=_ADDRESS)
    port = Whole(1, 65535, metadata=_PORT)
    host_user = fields.String(metadata=_USER)
    status = Choice(*HOST_STATUSES, metadata={"example": "up"})
    status_reason = fields.String(allow_none=True)
    drivers = fields.List(fields.Nested(HostDriver))
    versions = FreeObject(metadata={"example": {"qarax-node": "0.1.0"}})
    cpus = Whole(0, 2**31 - 1, metadata={"example": 8})
    memory_bytes = Bytes(metadata={"example": 16777216000})
    allocated_vcpus = Whole(0, 2**31 - 1, metadata={"example": 2})
    allocated_memory_bytes = Bytes(metadata={"example": 536870912})
    last_seen_at = Time(allow_none=True)
    created_at = Time()
    updated_at = Time()
    ssh_host_key = fields.String(
        allow_none=True,
        metadata={
            "example": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBcxMf1c5zGlcZbDWP3rLMKvNkP1CWlI0rsSBnTtzGKh",
            "description": "The one that its deployments log in to; null until the first.",
        },
    )


class DeployHostRequest(Body):
    """How to bring a host's node to a version."""

    mode = Choice(
        *DEPLOY_MODES, metadata={"example": "direct", "description": "Without it: deployment.mode."}
    )
    image_version = fields.String(
        validate=matches(
            IMAGE_VERSION_PATTERN,
            "A version or image tag such as v1.0.0, or sha256: and 64 hexadecimal digits.",
        ),
        metadata={
            "example": "v1.0.0",
            "description": "direct: which release, without it the server's own. bootc: the image's tag, or "
            "better its digest.",
        },
    )
    ssh_password = Text(
        load_only=True,
        metadata={
            "example": None,
            "description": "For this deployment alone, where the key is not let in yet. Never stored, logged "
            "or answered.",
        },
    )
    ssh_port = Whole(1, 65535, load_default=22, metadata={"example": 22})
    force = Flag(
        load_default=False,
        metadata={
            "example": False,
            "description": "direct: go on without KVM. bootc: reboot although VMs run, which ends them.",
        },
    )
