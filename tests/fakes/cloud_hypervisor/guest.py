"""The simulated guest: a boot log, a shell on ttyS0, a power button, and the faults of `knobs.py`."""

from __future__ import annotations

import functools
import os
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes.cloud_hypervisor.consoles import Output
    from tests.fakes.cloud_hypervisor.knobs import Knobs
    from tests.fakes.cloud_hypervisor.machine import Machine

KERNEL = "6.1.0-stand-in"
PROMPT = "~ # "
FLOOD_BATCH = 512
POURED_BYTES = 1 << 15
TICK_SECONDS = 0.005
VMM_FAULTS = {"hang-after": "hang", "vcpu-error-after": "vcpu-error", "segfault-after": "segfault"}


class Guest:
    """Lives in the machine's thread. `post` takes `poweroff`, `reboot` and `panic` to the VMM."""

    def __init__(
        self, machine: Machine, serial: Output, cmdline: str, knobs: Knobs, post: Callable[[str], None]
    ) -> None:
        self.machine = machine
        self.serial = serial
        self.cmdline = cmdline
        self.knobs = knobs
        self.post = post
        self.disks: list[int] = []
        self.line = bytearray()
        self.pending: list[bytes] = []
        self.started = time.monotonic()
        self.going = False
        self.flood_line = 0

    def boot(self) -> None:
        """Print the log, set the timers, give a shell."""
        if "quiet" not in self.knobs:
            self._print_boot_log()
        self.post("drivers")
        self._set_timers()
        for name in ("flood", "flood-hard"):
            if name in self.knobs:
                self._flood(int(self.knobs.get(name)))
        if "pour" in self.knobs:
            self._pour(self.knobs.get("pour"))
        if "ticker" in self.knobs:
            self._tick(float(self.knobs.get("ticker")), time.monotonic(), 0)

    def _print_boot_log(self) -> None:
        self._say(f"[    0.000000] Linux version {KERNEL} (stand-in)")
        self._say(f"[    0.000000] Command line: {self.cmdline}")
        self._say("[    0.000000] Hypervisor detected: KVM")
        self._say("[    0.051000] Run /init as init process")
        self._say("")
        self._say(f"=== qarax guest is up: Linux {KERNEL}, 0.05 s after power-on ===")
        root = re.search(r"(?:^|\s)root=(\S+)", self.cmdline)
        mounted = root is not None and self._disk(root[1]) is not None
        self._say(f"    {len(self.disks)} disks, root {root[1] if root and mounted else 'rootfs'}")
        self.serial.write(PROMPT.encode())

    def _set_timers(self) -> None:
        words = dict(word.split("=", 1) for word in self.cmdline.split() if "=" in word)
        lifetime = self.knobs.seconds("poweroff-after")
        if "qarax.lifetime" in words:
            lifetime = float(words["qarax.lifetime"])
        if lifetime is not None:
            self.machine.later(lifetime, self.power_off)
        for name, action in (("reboot-after", self.reboot), ("panic-after", self.panic)):
            seconds = self.knobs.seconds(name)
            if seconds is not None:
                self.machine.later(seconds, action)
        for name, event in VMM_FAULTS.items():
            seconds = self.knobs.seconds(name)
            if seconds is not None:
                self.machine.later(seconds, functools.partial(self.post, event))
        self.panic_seconds = float(words.get("panic", "0"))

    def _say(self, text: str) -> None:
        self.serial.write(text.encode() + b"\r\n")

    # -- power -------------------------------------------------------------------------------------------

    def press_power_button(self) -> None:
        """A paused guest notices when it goes on."""
        self.machine.later(0, self._on_power_button)

    def _on_power_button(self) -> None:
        """Obeyed once, after a moment, unless the guest does not listen."""
        if "ignore-power-button" in self.knobs or self.going:
            return
        self.going = True
        self.machine.later(self.knobs.seconds("power-button") or 0.1, self.power_off)

    def power_off(self) -> None:
        self._say("The system is going down NOW!")
        self._say(f"[{time.monotonic() - self.started:12.6f}] reboot: Power down")
        self._leave("poweroff")

    def reboot(self) -> None:
        self._say(f"[{time.monotonic() - self.started:12.6f}] reboot: Restarting system")
        self._leave("reboot")

    def panic(self) -> None:
        self._say("Kernel panic - not syncing: sysrq triggered crash")
        self.post("panic")
        if self.panic_seconds > 0:
            self.machine.later(self.panic_seconds, lambda: self._leave("reboot"))

    def _leave(self, event: str) -> None:
        self.machine.timers.clear()
        self.machine.on_idle = None
        self.post(event)

    # -- shell -------------------------------------------------------------------------------------------

    def on_input(self, data: bytes) -> None:
        """What came in on ttyS0; a paused guest reads it later."""
        if self.machine.paused:
            self.pending.append(data)
            return
        for byte in data:
            if byte in b"\r\n":
                self._enter()
            elif byte in b"\x7f\b":
                if self.line:
                    self.line.pop()
                    self.serial.write(b"\b \b")
            elif byte == 0x03:
                self.line.clear()
                self.machine.on_idle = None
                self.serial.write(b"^C\r\n" + PROMPT.encode())
            else:
                self.line.append(byte)
                self.serial.write(bytes([byte]))

    def on_resume(self) -> None:
        """Read what came while it stood still."""
        pending, self.pending = self.pending, []
        for data in pending:
            self.on_input(data)

    def _enter(self) -> None:
        line = self.line.decode(errors="replace").strip()
        self.line.clear()
        self.serial.write(b"\r\n")
        word, _, rest = line.partition(" ")
        if word == "poweroff":
            self.power_off()
        elif word == "reboot":
            self.reboot()
        elif word == "panic":
            self.panic()
        elif word == "flood":
            lines, _, speed = rest.partition(" ")
            self._flood(int(lines or "0"), int(speed or "0"))
        else:
            self._command(word, rest)
            self.serial.write(PROMPT.encode())

    def _command(self, word: str, rest: str) -> None:
        if word == "echo":
            self._say(rest)
        elif word == "uptime":
            self._say(f"up {time.monotonic() - self.started:.2f} s")
        elif word == "read":
            self._read(rest)
        elif word == "write":
            self._write(*rest.partition(" ")[::2])
        elif word == "help":
            self._say("echo, uptime, poweroff, reboot, panic, flood [LINES [A_SECOND]], read DISK, write")
        elif word:
            self._say(f"sh: {word}: not found")

    def _disk(self, device: str) -> int | None:
        """The descriptor behind `/dev/vda` and so on, in the order of the config."""
        place = ord(device[-1]) - ord("a") if device.startswith("/dev/vd") else -1
        return self.disks[place] if 0 <= place < len(self.disks) else None

    def _read(self, device: str) -> None:
        """The first line of a disk."""
        disk = self._disk(device)
        if disk is None:
            self._say(f"sh: {device}: no such disk")
        else:
            self._say(os.pread(disk, 512, 0).split(b"\0")[0].split(b"\n")[0].decode(errors="replace"))

    def _write(self, device: str, text: str) -> None:
        """Put a line at the beginning of a disk."""
        disk = self._disk(device)
        try:
            os.pwrite(-1 if disk is None else disk, f"{text}\n".encode(), 0)
        except OSError as error:
            self._say(f"sh: {device}: {error.strerror}")

    def _tick(self, rate: float, began: float, told: int) -> None:
        """Numbered lines with the microsecond (monotonic) at which each was written."""
        now = time.monotonic()
        due = int((now - began) * rate)
        stamp = int(now * 1e6)
        self.serial.write(b"".join(b"tick %09d %016d\r\n" % (number, stamp) for number in range(told, due)))
        self.machine.later(TICK_SECONDS, lambda: self._tick(rate, began, due))

    def _pour(self, path: str) -> None:
        """A file's bytes, a piece whenever there is room for it."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

        def piece() -> bool:
            if not self.serial.has_room():
                self.machine.on_idle = None
                self.machine.later(0.002, lambda: setattr(self.machine, "on_idle", piece))
                return False
            data = os.read(descriptor, POURED_BYTES)
            self.serial.write(data or PROMPT.encode())
            return bool(data)

        self.machine.on_idle = piece

    def _flood(self, lines: int, speed: int = 0) -> None:
        """Numbered lines of 64 bytes, `lines` of them or without end, at most `speed` a second."""
        began, first = time.monotonic(), self.flood_line
        last = self.flood_line + lines if lines else None
        polite = "flood-hard" not in self.knobs

        def batch() -> bool:
            ahead = speed and self.flood_line - first > speed * (time.monotonic() - began)
            if ahead or (polite and not self.serial.has_room()):
                self.machine.on_idle = None
                self.machine.later(0.002, lambda: setattr(self.machine, "on_idle", batch))
                return False
            until = self.flood_line + FLOOD_BATCH
            if last is not None and until >= last:
                until = last
            numbers = range(self.flood_line, until)
            self.serial.write(b"".join(b"flood %09d %s\r\n" % (number, b"." * 46) for number in numbers))
            self.flood_line = until
            if until == last:
                self.serial.write(PROMPT.encode())
                self.post("flooded")
                return False
            return True

        self.machine.on_idle = batch
