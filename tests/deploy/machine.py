"""A machine to deploy to: a real sshd over this machine's own files, none of which it can change.

It is a chroot in an overlay, in namespaces of mounts and processes of its own, so ending its first process
ends all that runs in it. Its changes lie in memory and can be the ground of other machines. `systemctl`,
`bootc` and `journalctl` are stand-ins (`standins/`), and so are the processor's flags and the boot id; sshd,
sudo, Python, keeper, node and all files are real. Needs root, as systemd's own work would.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.ports import free_port
from tests.server.running import until

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
PASSWORD = "correct horse, battery staple"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT = """
set -eu
cd "$1"
mount -t overlay overlay -o "lowerdir=$2,upperdir=upper,workdir=work" root
mount --rbind /dev root/dev
mount -t proc proc root/proc
mount --bind cpuinfo root/proc/cpuinfo
mount --bind boot_id root/proc/sys/kernel/random/boot_id
mount -t tmpfs tmpfs root/run
mkdir -p root/run/sshd root/run/systemd/system root/run/lock "root$3"
mount --rbind "$3" "root$3"
exec chroot root /usr/sbin/sshd -D -e -f /etc/ssh/machine_config
"""
CONFIGURATION = """\
ListenAddress 127.0.0.1:{port}
HostKey /etc/ssh/machine_key
PidFile /run/sshd.pid
AuthorizedKeysFile /etc/ssh/machine_keys/%u
StrictModes no
PermitRootLogin yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
"""


@dataclass
class Ground:
    """The memory that machines' files lie in, and the key that they let in."""

    directory: Path
    holder: int
    key: Path

    @property
    def inside(self) -> list[str]:
        """How a command gets to see that memory."""
        return ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", "--wd=/"]

    def run(self, *command: str) -> None:
        """Run a command there."""
        subprocess.run([*self.inside, *command], check=True)


def _write(inside: Sequence[str], path: str, content: str, mode: str) -> None:
    script = 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"'
    subprocess.run([*inside, "sh", "-c", script, "sh", path, mode], input=content.encode(), check=True)


@contextmanager
def ground(directory: Path) -> Iterator[Ground]:
    """Memory for the files of machines; gone with all of them at the end."""
    directory.mkdir()
    key = directory.parent / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    script = 'mount -t tmpfs -o mode=0755 tmpfs "$1" && echo ready && exec sleep infinity'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == b"ready\n", "memory for machines cannot be mounted: not root?"
            yield Ground(directory, holder.pid, key)
        finally:
            holder.kill()


@dataclass
class Machine:
    """One machine; `layers` are the names of machines whose files it begins with, the newest first."""

    ground: Ground
    name: str
    layers: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    node_port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def place(self) -> Path:
        return self.ground.directory / self.name

    async def start(self, *, virtualisation: bool = True) -> None:
        """Boot it: its sshd answers when this returns."""
        if self.process is None:
            self._furnish(virtualisation=virtualisation)
        lower = ":".join([*(str(self.ground.directory / each / "upper") for each in self.layers), "/"])
        # a directory that is there in every machine
        namespaces = ["env", "--chdir=/", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
        arguments = ["sh", "-c", BOOT, "sh", str(self.place), lower, str(REPOSITORY)]
        with (self.ground.directory.parent / f"{self.name}.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.ground.inside, *namespaces, *arguments, stdout=log, stderr=log
            )
        await until(self._answers, 20)

    async def _answers(self) -> bool:
        assert self.process is not None
        log = self.ground.directory.parent / f"{self.name}.log"
        assert self.process.returncode is None, log.read_text()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        try:
            return (await reader.readline()).startswith(b"SSH-2.0-")
        finally:
            writer.close()

    def _furnish(self, *, virtualisation: bool) -> None:
        """Its own files, written before it boots."""
        for folder in ("upper", "work", "root"):
            self.ground.run("mkdir", "-p", str(self.place / folder))
        flags = "flags : fpu vmx\n" if virtualisation else "flags : fpu\n"
        self.write(f"{self.place}/cpuinfo", f"processor : 0\n{flags}")
        self.write(f"{self.place}/boot_id", "11111111-1111-4111-8111-111111111111\n")
        for name in ("systemctl", "bootc", "journalctl"):
            self.put(f"/usr/local/bin/{name}", (HERE / "standins" / name).read_text(), "0755")
        self.put("/etc/ssh/machine_config", CONFIGURATION.format(port=self.port))
        if not self.layers:
            self.new_host_key()
        public = self.ground.key.with_suffix(".pub").read_text()
        for user in ("root", "deployer", "plain"):
            self.put(f"/etc/ssh/machine_keys/{user}", public)
        self.put("/etc/sudoers.d/deployer", "deployer ALL=(ALL) NOPASSWD: ALL\n", "0440")
        self.put("/root/.bashrc", "")  # whose PATH is not the machine's
        self._add_users()

    def _add_users(self) -> None:
        hashed = subprocess.run(
            ["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True
        ).stdout.strip()
        users = [("deployer", 60001), ("plain", 60002)]
        passwd = Path("/etc/passwd").read_text()
        shadow = Path("/etc/shadow").read_text()
        passwd += "".join(f"{name}:x:{number}:{number}::/tmp:/bin/sh\n" for name, number in users)
        shadow += "".join(f"{name}:{hashed}:19000:0:99999:7:::\n" for name, _ in users)
        self.put("/etc/passwd", passwd)
        self.put("/etc/shadow", shadow, "0600")

    def new_host_key(self) -> None:
        """Another SSH host key, as after a new installation."""
        path = self.ground.directory.parent / f"{self.name}.key"
        for each in (path, path.with_suffix(".key.pub")):
            each.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        self.put("/etc/ssh/machine_key", path.read_text(), "0600")

    def put(self, path: str, content: str, mode: str = "0644") -> None:
        """Write one of its files, before it boots or while it runs."""
        if self.process is None:
            self.write(f"{self.place}/upper{path}", content, mode)
            return
        _write(self._inside, path, content, mode)

    def write(self, path: str, content: str, mode: str = "0644") -> None:
        """Write a file beside it."""
        _write(self.ground.inside, path, content, mode)

    async def read(self, path: str) -> str:
        """One of its files as it sees it."""
        return await self.run("cat", path)

    async def run(self, *command: str) -> str:
        """Run a command in it, past sshd."""
        process = await asyncio.create_subprocess_exec(
            *self._inside, f"PATH={SYSTEM_PATH}", *command,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode == 0, (command, output.decode())
        return output.decode()

    @property
    def _inside(self) -> list[str]:
        """How a command gets into it: by its process 1, the only child of the `unshare` that made it."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        first = text.split()[0]
        return [
            "nsenter",
            f"--target={first}",
            "--mount",
            "--pid",
            f"--root=/proc/{first}/root",
            "env",
            "--chdir=/",
        ]

    async def calls(self, program: str) -> list[str]:
        """What a stand-in was called with."""
        return (await self.run("sh", "-c", f"cat /var/log/{program}.calls 2>/dev/null || true")).splitlines()

    async def pid_of(self, unit: str) -> int:
        """The process of a unit, as the machine counts."""
        return int(await self.read(f"/run/standin/{unit}"))

    async def hypervisors(self) -> list[int]:
        """The processes of VMs, as the machine counts."""
        found = await self.run("sh", "-c", "pgrep -f '[-]-api-socket' || true")
        return sorted(int(each) for each in found.split())

    def has_images(self, booted: str, images: dict[str, str], **more: object) -> None:
        """Make it a machine that boots images: name → version of qarax in it."""
        state = {"images": images, "booted": booted, "staged": None, **more}
        self.put("/var/lib/standin/bootc.json", json.dumps(state))

    async def show_new_host_key(self) -> None:
        """Have its sshd read its key anew."""
        self.new_host_key()
        await self.run("kill", "-HUP", "1")
        public = (self.ground.directory.parent / f"{self.name}.key.pub").read_text().split()[1]

        async def shown() -> bool:
            scan = ["ssh-keyscan", "-p", str(self.port), "-t", "ed25519", "127.0.0.1"]
            process = await asyncio.create_subprocess_exec(
                *scan, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
            )
            return public in (await process.communicate())[0].decode()

        await until(shown)

    async def stop(self) -> None:
        """Pull the plug."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


def has_what_it_takes() -> str:
    """Why no machine can be made here; empty when it can."""
    absent = [
        each for each in ("sshd", "sudo", "unshare", "nsenter") if not shutil.which(each, path=SYSTEM_PATH)
    ]
    if absent:
        return f"missing: {', '.join(absent)} (make test installs them)"
    return "" if os.geteuid() == 0 else "only root can make machines"
