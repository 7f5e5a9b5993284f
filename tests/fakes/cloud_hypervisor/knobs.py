"""Faults on demand.

Words in the environment variable CLOUD_HYPERVISOR_STAND_IN hold for the process; the same words with the
prefix `standin.` on a VM's kernel command line hold for that VM. Seconds may have decimals.

  of the process only
    version=v52.0         what --version and vmm.ping say
    no-kvm                start as on a host without /dev/kvm
    start=S               seconds between the process's start and its API socket
    assume-taps           tap interfaces are taken for granted instead of opened
    record=PATH           every routed request as a line of JSON: method, endpoint, body
    lose-event=SRC/NAME   that event never reaches the event monitor, e.g. vmm/shutdown
  of the VMM
    vhost-user=S          a vhost-user backend that is not there is waited for S seconds instead of 60
    boot=S                vm.boot takes S seconds more, and everything else waits
    hang-after=S          S seconds after boot the VMM thread blocks: ping hangs, SIGTERM is ignored
    vcpu-error-after=S    exit 0 on a "vCPU error", the reason only in the log
    segfault-after=S      death by SIGSEGV
    drop=ENDPOINT         e.g. vm.boot: the request runs, its connection closes without a reply
    drop-unread=ENDPOINT  the connection closes and the request does not run
    refuse=ENDPOINT       the request is refused and does not run
    panic=ENDPOINT        the VMM thread panics in it and the process exits 1, e.g. a KVM that makes no VM
    die=ENDPOINT          the process is killed in it, as by the kernel out of memory
  of the guest
    quiet                 no boot log
    poweroff-after=S      as qarax.lifetime=S does
    reboot-after=S        once
    panic-after=S         then what panic=S on the command line says
    ignore-power-button   the guest does not listen
    power-button=S        it needs S seconds to go (default 0.1)
    flood=LINES           numbered lines as fast as the serial client takes them; 0: without end
    flood-hard=LINES      the same without waiting for the client, so that the ring overflows
    pour=PATH             that file's bytes as they are, as fast as the serial client takes them
    ticker=RATE           so many lines a second, each with its number and the time of its writing
"""

from __future__ import annotations

import os

PREFIX = "standin."
ENVIRONMENT = "CLOUD_HYPERVISOR_STAND_IN"


class Knobs:
    """Words and their values; a word without one is "1"."""

    def __init__(self, words: list[str]) -> None:
        pairs = (word.partition("=") for word in words)
        self.values = {name: value if equals else "1" for name, equals, value in pairs}

    def get(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)

    def seconds(self, name: str) -> float | None:
        return float(self.values[name]) if name in self.values else None

    def __contains__(self, name: str) -> bool:
        return name in self.values


def of_process() -> Knobs:
    return Knobs(os.environ.get(ENVIRONMENT, "").split())


def of_machine(cmdline: str) -> Knobs:
    """The process's words and those of the kernel command line, which win."""
    words = [word.removeprefix(PREFIX) for word in cmdline.split() if word.startswith(PREFIX)]
    return Knobs(os.environ.get(ENVIRONMENT, "").split() + words)
