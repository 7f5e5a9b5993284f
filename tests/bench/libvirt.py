"""libvirt as a peer: a session daemon of its own in a scratch directory, and one domain that `virsh` starts.

The session keeps all of its state below XDG_*; root has none, so there it runs as `nobody`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

DAEMONS = {"virtqemud": "virtqemud-sock", "libvirtd": "libvirt-sock"}
PROGRAMS = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
READY_SECONDS = 20.0
PAUSE = 0.005
NOBODY = "nobody"
NAME = "peer"
CONFIGURATION = 'stdio_handler = "file"\n'  # else a second daemon, virtlogd, copies what a guest prints
DOMAIN = """<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name>
  <memory unit='b'>{memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type machine='microvm'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initramfs}</initrd>
    <cmdline>{cmdline}</cmdline>
  </os>
  <features><acpi/><tcg><tb-cache unit='MiB'>128</tb-cache></tcg></features>
  <cpu mode='maximum'/>
  <devices>
    <emulator>{emulator}</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='{log}'/><target port='0'/></serial>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-device'/><qemu:arg value='virtio-rng-device'/>
    <qemu:arg value='-device'/><qemu:arg value='i8042'/>
  </qemu:commandline>
</domain>
"""


class NotRunError(Exception):
    """libvirt cannot be measured here; the text says why."""


@dataclass(frozen=True)
class Guest:
    """What is to boot, as our own QEMU's command line has it; `memory` in bytes."""

    emulator: str
    kernel: Path
    initramfs: Path
    cmdline: str
    memory: int

    @classmethod
    def of(cls, argv: Sequence[str], memory: int) -> Guest:
        """The guest of this QEMU."""
        kernel, initramfs, cmdline = (
            argv[argv.index(f"-{name}") + 1] for name in ("kernel", "initrd", "append")
        )
        return cls(shutil.which(argv[0]) or argv[0], Path(kernel), Path(initramfs), cmdline, memory)


@dataclass(frozen=True)
class Session:
    """A daemon that runs; `user` are the words that make a process run as its user."""

    place: Path
    socket: Path
    user: dict[str, Any]

    @property
    def log(self) -> Path:
        """What the guest printed."""
        return self.place / "serial.log"

    def virsh(self, *words: str) -> None:
        """Run one command. Raises NotRunError with its words when it fails."""
        url = f"qemu+unix:///session?socket={self.socket}"
        done = subprocess.run(
            ["virsh", "-q", "-c", url, *words],
            cwd=self.place,
            env=_environment(self.place),
            capture_output=True,
            text=True,
            check=False,
            **self.user,
        )
        if done.returncode:
            raise NotRunError(f"virsh {words[0]}: {' '.join(done.stderr.split())[:200]}")

    def start(self, sign: bytes, seconds: float) -> tuple[float, float]:
        """`virsh start`: the seconds until it returned, and until the guest printed `sign`."""
        self.log.unlink(missing_ok=True)
        began = time.perf_counter()
        self.virsh("start", NAME)
        returned = time.perf_counter() - began
        try:
            until(lambda: sign in self.log.read_bytes(), "the guest never said that it is up", seconds)
            return returned, time.perf_counter() - began
        finally:
            self.virsh("destroy", NAME)


def until(so: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait until something is so. Raises NotRunError when it does not become so."""
    deadline = time.monotonic() + seconds
    while not so():
        if time.monotonic() > deadline:
            raise NotRunError(what)
        time.sleep(PAUSE)


@contextlib.contextmanager
def session(guest: Guest) -> Iterator[Session]:
    """A daemon with the guest defined; all of it is gone at the end. Raises NotRunError."""
    daemon = _daemon()
    user = _user()
    place = Path(tempfile.mkdtemp(prefix="qarax-libvirt-"))
    try:
        _prepare(place, guest, user)
        socket = place / "runtime" / "libvirt" / DAEMONS[daemon.name]
        with (place / "daemon.log").open("wb") as log:
            process = subprocess.Popen(
                [daemon],
                cwd=place,
                env=_environment(place),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **user,
            )
        found = Session(place, socket, user)
        try:
            until(
                lambda: socket.exists() or process.poll() is not None,
                f"{daemon.name} does not listen on its socket",
                READY_SECONDS,
            )
            if process.poll() is not None:
                raise NotRunError(f"{daemon.name} ended: {_words(place)}")
            found.virsh("define", "domain.xml")
            yield found
        finally:
            process.terminate()
            process.wait()
    finally:
        shutil.rmtree(place)


def _daemon() -> Path:
    """The daemon's program. Raises NotRunError when libvirt is not installed."""
    if shutil.which("virsh") is None:
        raise NotRunError("libvirt is not installed")
    for name in DAEMONS:
        path = shutil.which(name, path=PROGRAMS)
        if path is not None:
            return Path(path)
    raise NotRunError(f"there is virsh but none of {', '.join(DAEMONS)}")


def _user() -> dict[str, Any]:
    if os.geteuid():
        return {}
    try:
        nobody = pwd.getpwnam(NOBODY)
    except KeyError:
        raise NotRunError(f"there is no user {NOBODY} for libvirt's session") from None
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _prepare(place: Path, guest: Guest, user: dict[str, Any]) -> None:
    """The daemon's directories, and copies of the guest's files that its user can read."""
    for name in ("config/libvirt", "runtime", "cache"):
        (place / name).mkdir(parents=True)
    (place / "config" / "libvirt" / "qemu.conf").write_text(CONFIGURATION)
    kernel, initramfs = (shutil.copy(path, place / path.name) for path in (guest.kernel, guest.initramfs))
    domain = DOMAIN.format(
        name=NAME,
        memory=guest.memory,
        kernel=kernel,
        initramfs=initramfs,
        cmdline=escape(guest.cmdline),
        emulator=guest.emulator,
        log=place / "serial.log",
    )
    (place / "domain.xml").write_text(domain)
    for path in (place, *place.rglob("*")) if user else ():
        os.chown(path, user["user"], user["group"])


def _environment(place: Path) -> dict[str, str]:
    names = {"XDG_CONFIG_HOME": "config", "XDG_RUNTIME_DIR": "runtime", "XDG_CACHE_HOME": "cache", "HOME": ""}
    return {**os.environ, **{name: str(place / below) for name, below in names.items()}}


def _words(place: Path) -> str:
    lines = (place / "daemon.log").read_text(errors="replace").splitlines()
    return lines[-1][:200] if lines else "it said nothing"
