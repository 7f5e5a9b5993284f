"""What an operator can set of a node: its command line, with defaults that fit one host."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOG = """\
The node runs the VMs of this host for qarax-server. Beside it runs the keeper, which starts the hypervisor
processes and writes their consoles; start it first and leave it running when the node is restarted:

  python -m qarax_node.keeper --socket /var/lib/qarax/vms/keeper.sock --runtime-dir /var/lib/qarax/vms
  qarax-node --port 50051

Stopping or killing the node touches no guest: the next one adopts them. A VM's console log is
<runtime-dir>/<vm-uuid>.console.log, everything else of it is in <runtime-dir>/<vm-uuid>/.
Register the host with the server as address + port, then set it up:
  curl -X POST localhost:8000/hosts -d '{"name":"h1","address":"127.0.0.1","port":50051,"host_user":"root"}'
"""


@dataclass(frozen=True)
class Settings:
    """Everything a node was told. `drivers` empty: whatever this host can run."""

    host: str = "127.0.0.1"
    port: int = 50051
    tls_directory: Path | None = None
    runtime_dir: Path = Path("/var/lib/qarax/vms")
    keeper_socket: Path = Path("/var/lib/qarax/vms/keeper.sock")
    drivers: tuple[str, ...] = ()
    stand_in: str = ""
    accelerator: str = ""
    cloud_hypervisor_binary: str = "cloud-hypervisor"
    qemu_binary: str = "qemu-system-x86_64"
    import_dirs: tuple[Path, ...] = (Path("/var/lib/qarax"),)
    macvtap_parent: str = ""
    tap_names: tuple[str, ...] = ("*",)
    vhost_socket_dirs: tuple[Path, ...] = (Path("/run/vhost-user"),)
    landlock: bool = False
    simulated_hosts: int = 0
    simulated_boot_seconds: float = 0.2
    log_format: str = "plain"


def parser() -> argparse.ArgumentParser:
    """The command line of `qarax-node`."""
    made = argparse.ArgumentParser(
        prog="qarax-node",
        description="The qarax agent of one host.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default 127.0.0.1)")
    add("--port", type=int, default=50051, help="gRPC port (default 50051)")
    add(
        "--tls-directory",
        type=Path,
        metavar="DIR",
        help="ca.pem, certificate.pem and key.pem of qarax-server ca issue; without it, loopback only",
    )
    add("--runtime-dir", type=Path, default=Settings.runtime_dir, help=f"default {Settings.runtime_dir}")
    add("--keeper-socket", type=Path, help="default <runtime-dir>/keeper.sock")
    add(
        "--driver",
        action="append",
        default=[],
        choices=["cloud_hypervisor", "qemu", "simulated"],
        help="offer only this driver; may be repeated (default: what this host can run)",
    )
    add("--stand-in", choices=["qemu"], default="", help="run cloud_hv VMs with QEMU; the screen says so")
    add("--accelerator", choices=["kvm", "tcg"], default="", help="for QEMU (default: kvm when usable)")
    add("--cloud-hypervisor-binary", default=Settings.cloud_hypervisor_binary, metavar="PATH")
    add("--qemu-binary", default=Settings.qemu_binary, metavar="PATH")
    add(
        "--import-dir",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="local copies may read from here; may be repeated (default /var/lib/qarax)",
    )
    add("--macvtap-parent", default="", metavar="INTERFACE", help="parent of macvtaps that name none")
    add(
        "--tap-name",
        action="append",
        default=[],
        metavar="PATTERN",
        help="VMs may name taps like this (vm*); may be repeated (default: any but those the node made)",
    )
    add(
        "--vhost-socket-dir",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="vhost-user sockets may lie below; may be repeated (default /run/vhost-user)",
    )
    add("--landlock", action="store_true", help="confine each Cloud Hypervisor to the files of its VM")
    add("--simulated-hosts", type=int, default=0, metavar="N", help="serve N simulated hosts, a port each")
    add("--simulated-boot-seconds", type=float, default=0.2, metavar="S", help=argparse.SUPPRESS)
    add("--log-format", choices=["plain", "json"], default="plain", help="lines on stderr (default plain)")
    return made


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """The settings of a command line; exits with a sentence on stderr when it is wrong."""
    given = parser().parse_args(arguments)
    runtime_dir = given.runtime_dir.absolute()
    return Settings(
        host=given.host,
        port=given.port,
        tls_directory=given.tls_directory and given.tls_directory.absolute(),
        runtime_dir=runtime_dir,
        keeper_socket=(given.keeper_socket or runtime_dir / "keeper.sock").absolute(),
        drivers=tuple(dict.fromkeys(given.driver)),
        stand_in=given.stand_in,
        accelerator=given.accelerator,
        cloud_hypervisor_binary=given.cloud_hypervisor_binary,
        qemu_binary=given.qemu_binary,
        import_dirs=tuple(path.absolute() for path in given.import_dir) or Settings.import_dirs,
        macvtap_parent=given.macvtap_parent,
        tap_names=tuple(given.tap_name) or Settings.tap_names,
        vhost_socket_dirs=tuple(path.absolute() for path in given.vhost_socket_dir)
        or Settings.vhost_socket_dirs,
        landlock=given.landlock,
        simulated_hosts=given.simulated_hosts,
        simulated_boot_seconds=given.simulated_boot_seconds,
        log_format=given.log_format,
    )
