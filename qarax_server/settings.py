"""The settings: `base.yaml`, then `{APP_ENVIRONMENT}.yaml`, then the environment.

The dataclasses below are the whole list of keys. A key that is not here, a value of another type and a file
that is not there are errors that name themselves.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from qarax_server import packaged
from qarax_server.errors import SettingsError
from qarax_server.settings_values import checked, convert

PORTS = {"range": (0, 65535)}
POSITIVE = {"range": (0.001, 1e6)}
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
CLOUD_HYPERVISOR_SHA256 = "448af3d4e59b22c2987f7df94c213ad40fb53a10d437e42b5ee6c4fce7c29ecc"


@dataclass(frozen=True)
class Application:
    """Where the REST API listens, whom it answers and whom it may dial."""

    host: str = "127.0.0.1"
    port: int = field(default=8000, metadata=PORTS)
    # names that `Host` and `Origin` may carry besides loopback ones
    allowed_hosts: tuple[str, ...] = ()
    # networks that hosts and download sources may lie in; empty: any
    allowed_networks: tuple[str, ...] = field(default=(), metadata={"networks": True})
    drain_seconds: float = field(default=10.0, metadata=POSITIVE)
    # open ones, in all and of one address; behind a proxy everybody has the proxy's
    connections: int = field(default=8192, metadata={"range": (1, 1_000_000)})
    connections_per_client: int = field(default=4096, metadata={"range": (1, 1_000_000)})
    # how long a request's headers, and then its body, may take to arrive
    header_seconds: float = field(default=10.0, metadata=POSITIVE)
    body_seconds: float = field(default=30.0, metadata=POSITIVE)
    # that follow one VM's console at a time
    readers_per_console: int = field(default=2048, metadata={"range": (1, 1_000_000)})
    log_level: str = field(default="info", metadata={"words": ("debug", "info", "warning", "error")})
    log_format: str = field(default="plain", metadata={"words": ("plain", "json")})


@dataclass(frozen=True)
class Database:
    """The PostgreSQL server; `host` may be the directory of its unix socket."""

    host: str = "127.0.0.1"
    port: int = field(default=5432, metadata={"range": (1, 65535)})
    username: str = "qarax"
    password: str = field(default="", metadata={"secret": True})
    database_name: str = "qarax"
    max_connections: int = field(default=16, metadata={"range": (2, 1000)})
    # TLS to PostgreSQL, as libpq has it: verify-full with sslrootcert admits the right server alone
    sslmode: str = field(default="prefer", metadata={"words": SSL_MODES})
    sslrootcert: str = ""
    sslcert: str = ""
    sslkey: str = ""
    statement_timeout_seconds: float = field(default=10.0, metadata=POSITIVE)


@dataclass(frozen=True)
class VmDefaults:
    """What a VM without a boot source boots, and how long a stop waits."""

    kernel: str = "/var/lib/qarax/images/vmlinux"
    initramfs: str = "/var/lib/qarax/images/initramfs.gz"
    cmdline: str = "console=ttyS0 reboot=k panic=1"
    rootfs: str = ""
    rootfs_type: str = field(default="raw", metadata={"words": ("raw", "qcow2")})
    stop_grace_seconds: int = field(default=30, metadata={"range": (0, 3600)})


@dataclass(frozen=True)
class Deployment:
    """How `POST /hosts/{id}/deploy` reaches a host."""

    mode: str = field(default="direct", metadata={"words": ("direct", "bootc")})
    ssh_key_path: str = ""
    # what direct deployments bring: wheels, and Cloud Hypervisor as `cloud-hypervisor-static`
    packages_path: str = "/var/lib/qarax-server/packages"
    # of v53.0 as released; another build is brought only when it is named here
    cloud_hypervisor_sha256: str = CLOUD_HYPERVISOR_SHA256
    # how long one step may take: an ordinary one, one that carries or installs, a reboot
    step_seconds: float = field(default=120.0, metadata=POSITIVE)
    install_seconds: float = field(default=900.0, metadata=POSITIVE)
    reboot_seconds: float = field(default=900.0, metadata=POSITIVE)


@dataclass(frozen=True)
class Bootc:
    """The image that a bootc deployment switches a host to."""

    registry: str = ""
    image_name: str = "qarax-vmm"


@dataclass(frozen=True)
class Auth:
    """Bearer tokens; without them the API stays on loopback."""

    required: bool = False
    # of one address; for the rest of the minute, what is no valid token is then answered 429
    failures_per_minute: int = field(default=20, metadata={"range": (1, 1_000_000)})
    # events and consoles that one token may have open
    streams_per_token: int = field(default=64, metadata={"range": (1, 100_000)})


@dataclass(frozen=True)
class NodeTls:
    """Mutual TLS to the nodes, by the files of `directory` or by three single ones."""

    # made by `qarax-server ca init`: the CA, and this server's certificate in `server/`
    directory: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    # without certificates: whether nodes on loopback may be dialled in plain text
    plain_text: bool = False


@dataclass(frozen=True)
class Placement:
    """How much of a host may be promised: 1.0 is exactly what it has."""

    cpu_overcommit: float = field(default=8.0, metadata=POSITIVE)
    memory_overcommit: float = field(default=1.0, metadata=POSITIVE)


@dataclass(frozen=True)
class Monitor:
    """How hosts are watched, in seconds."""

    heartbeat_seconds: float = field(default=2.0, metadata=POSITIVE)
    silence_seconds: float = field(default=10.0, metadata=POSITIVE)
    reconnect_seconds: float = field(default=3.0, metadata=POSITIVE)
    call_seconds: float = field(default=4.5, metadata=POSITIVE)


@dataclass(frozen=True)
class Lease:
    """The active server's lease, in seconds of the database's clock."""

    seconds: float = field(default=10.0, metadata=POSITIVE)
    renew_seconds: float = field(default=3.0, metadata=POSITIVE)


@dataclass(frozen=True)
class Retention:
    """How long history is kept."""

    events_days: int = field(default=30, metadata={"range": (1, 36500)})
    operations_days: int = field(default=30, metadata={"range": (1, 36500)})
    idempotency_hours: int = field(default=24, metadata={"range": (1, 36500)})


@dataclass(frozen=True)
class Settings:
    """All of them, one member per section."""

    application: Application = field(default_factory=Application)
    database: Database = field(default_factory=Database)
    vm_defaults: VmDefaults = field(default_factory=VmDefaults)
    deployment: Deployment = field(default_factory=Deployment)
    bootc: Bootc = field(default_factory=Bootc)
    auth: Auth = field(default_factory=Auth)
    node_tls: NodeTls = field(default_factory=NodeTls)
    placement: Placement = field(default_factory=Placement)
    monitor: Monitor = field(default_factory=Monitor)
    lease: Lease = field(default_factory=Lease)
    retention: Retention = field(default_factory=Retention)


SHORT_NAMES = {
    "DATABASE_HOST": ("database", "host"),
    "DATABASE_PORT": ("database", "port"),
    "DATABASE_USERNAME": ("database", "username"),
    "DATABASE_PASSWORD": ("database", "password"),
    "DATABASE_NAME": ("database", "database_name"),
    "VM_KERNEL": ("vm_defaults", "kernel"),
    "VM_INITRAMFS": ("vm_defaults", "initramfs"),
    "VM_CMDLINE": ("vm_defaults", "cmdline"),
    "VM_ROOTFS": ("vm_defaults", "rootfs"),
    "VM_ROOTFS_TYPE": ("vm_defaults", "rootfs_type"),
}
PREFIX = "QARAX__"
MASKED = "********"


def load(environ: Mapping[str, str] = os.environ, directory: Path | None = None) -> Settings:
    """Read all layers.

    Raises:
        SettingsError: naming the file, key or value at fault.
    """
    directory = directory or find_directory(environ)
    values: dict[tuple[str, str], tuple[Any, str]] = {}
    for name in ("base", environ.get("APP_ENVIRONMENT") or "local"):
        values.update(_file_layer(directory / f"{name}.yaml"))
    values.update(_environment_layer(environ))
    return _build(values)


def find_directory(environ: Mapping[str, str]) -> Path:
    """Find the configuration: QARAX_CONFIG_DIR, else the wheel's, else the clone's."""
    if chosen := environ.get("QARAX_CONFIG_DIR"):
        return Path(chosen)
    return packaged.directory("configuration")


def masked(settings: Settings) -> str:
    """Write the settings as YAML with secrets masked."""
    tree = dataclasses.asdict(settings)
    for section, member in _sections().items():
        for each in dataclasses.fields(member):
            if each.metadata.get("secret") and tree[section][each.name]:
                tree[section][each.name] = MASKED
            if isinstance(tree[section][each.name], tuple):
                tree[section][each.name] = list(tree[section][each.name])
    return yaml.safe_dump(tree, sort_keys=False)


def _sections() -> dict[str, Any]:
    return get_type_hints(Settings)


def _file_layer(path: Path) -> dict[tuple[str, str], tuple[Any, str]]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise SettingsError(f"configuration file {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"configuration file {path} is not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise SettingsError(f"configuration file {path} must hold sections with keys")
    layer = {}
    for section, members in tree.items():
        if members is not None and not isinstance(members, dict):
            raise SettingsError(f"{path}: {section} must be a section with keys")
        for key, value in (members or {}).items():
            layer[str(section), str(key)] = (value, str(path))
        if str(section) not in _sections():
            raise SettingsError(f"{path}: unknown section {section!r}")
    return layer


def _environment_layer(environ: Mapping[str, str]) -> dict[tuple[str, str], tuple[Any, str]]:
    layer: dict[tuple[str, str], tuple[Any, str]] = {}
    for name, place in SHORT_NAMES.items():
        if name in environ:
            layer[place] = (environ[name], f"environment variable {name}")
    for name, text in environ.items():
        if not name.startswith(PREFIX):
            continue
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        layer[section, key] = (text, f"environment variable {name}")
    return layer


def _build(values: Mapping[tuple[str, str], tuple[Any, str]]) -> Settings:
    sections = _sections()
    chosen: dict[str, dict[str, Any]] = {name: {} for name in sections}
    for (section, key), (value, origin) in values.items():
        known = get_type_hints(sections[section]) if section in sections else {}
        if key not in known:
            raise SettingsError(f"{origin}: unknown key {section}.{key}")
        if value is None:
            continue
        where = f"{origin}: {section}.{key}"
        chosen[section][key] = checked(
            convert(value, known[key], where), _field(sections[section], key), where
        )
    return Settings(**{name: sections[name](**members) for name, members in chosen.items()})


def _field(section: Any, key: str) -> dataclasses.Field[Any]:
    return next(each for each in dataclasses.fields(section) if each.name == key)
