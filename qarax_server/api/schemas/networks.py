"""The network interfaces of a VM."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from qarax_server.api.schemas.base import Body
from qarax_server.api.schemas.fields import (
    MAX_INTEGER,
    AbsolutePath,
    Choice,
    Flag,
    InterfaceName,
    IpAddress,
    Mac,
    Name,
    NetworkMask,
    Whole,
    power_of_two,
)

INTERFACE_TYPES = ("macvtap", "tap", "vhost_user")
VHOST_MODES = ("client", "server")


class TokenBucket(Body):
    """So many tokens, filled again in so many milliseconds."""

    size = Whole(1, MAX_INTEGER, required=True, metadata={"example": 1048576})
    refill_time = Whole(1, MAX_INTEGER, required=True, metadata={"example": 100})
    one_time_burst = Whole(0, MAX_INTEGER, load_default=None)


class RateLimiter(Body):
    """Limits of bytes and of operations."""

    bandwidth = fields.Nested(TokenBucket, load_default=None)
    ops = fields.Nested(TokenBucket, load_default=None, metadata={"example": None})


class NewVmNetwork(Body):
    """One interface. Without a type: vhost_user when asked for, tap when one is named, else macvtap."""

    id = Name(required=True, metadata={"example": "net0"})
    interface_type = Choice(*INTERFACE_TYPES, load_default=None, metadata={"example": "tap"})
    tap = InterfaceName(load_default=None, metadata={"example": "qtap0"})
    parent = InterfaceName(load_default=None)
    mac = Mac(load_default=None, metadata={"example": "52:54:00:12:34:56"})
    host_mac = Mac(load_default=None)
    ip = IpAddress(load_default=None, metadata={"example": "192.168.249.1"})
    mask = NetworkMask(load_default=None, metadata={"example": "255.255.255.0"})
    mtu = Whole(68, 65535, load_default=None, metadata={"example": 1500})
    num_queues = Whole(2, 256, load_default=None)
    queue_size = Whole(2, 32768, validate=power_of_two, load_default=None)
    vhost_user = Flag(load_default=None)
    vhost_socket = AbsolutePath(load_default=None)
    vhost_mode = Choice(*VHOST_MODES, load_default=None)
    iommu = Flag(load_default=None)
    offload_tso = Flag(load_default=None)
    offload_ufo = Flag(load_default=None)
    offload_csum = Flag(load_default=None)
    pci_segment = Whole(0, 95, load_default=None)
    rate_limiter = fields.Nested(RateLimiter, load_default=None)

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        """The rules between fields."""
        kind = _kind(data)
        if data.get("vhost_user") is not None and data["vhost_user"] != (kind == "vhost_user"):
            raise ValidationError(f"Contradicts interface_type {kind}.", "vhost_user")
        if kind == "vhost_user" and not data.get("vhost_socket"):
            raise ValidationError("A vhost_user interface needs one.", "vhost_socket")
        if kind != "tap" and data.get("tap"):
            raise ValidationError(f"Contradicts interface_type {kind}.", "tap")
        if kind != "macvtap" and data.get("parent"):
            raise ValidationError(f"Only a macvtap interface has one, this is {kind}.", "parent")
        _check_addresses(data)
        if (data.get("num_queues") or 0) % 2:
            raise ValidationError("An even number: a receive and a transmit queue per pair.", "num_queues")

    @post_load
    def infer_type(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """From here on every interface says what it is."""
        kind = _kind(data)
        return data | {"interface_type": kind, "vhost_user": kind == "vhost_user"}


def distinct_ids(networks: list[dict[str, Any]]) -> None:
    """Refuse two interfaces of one id."""
    ids = [network["id"] for network in networks]
    if len(set(ids)) < len(ids):
        raise ValidationError("Every interface needs an id of its own.")


def networks_field(**options: Any) -> fields.List[Any]:
    """The interfaces of a VM, at most eight."""
    inner = fields.Nested(NewVmNetwork)
    return fields.List(inner, validate=[validate.Length(max=8), distinct_ids], **options)


def _kind(data: dict[str, Any]) -> str:
    if data.get("interface_type"):
        return str(data["interface_type"])
    if data.get("vhost_user"):
        return "vhost_user"
    return "tap" if data.get("tap") else "macvtap"


def _check_addresses(data: dict[str, Any]) -> None:
    ip, mask = data.get("ip"), data.get("mask")
    for field, mine, other in (("mask", mask, ip), ("ip", ip, mask)):
        if other and not mine:
            raise ValidationError("ip and mask come together.", field)
    if ip and mask and (":" in ip) != (":" in mask):
        raise ValidationError("An address and a mask of the same IP version.", "mask")
