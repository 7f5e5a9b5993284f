"""A VM's spec as QEMU's command line.

Whatever carries text from a spec goes in as JSON or as an argument of its own, so that no name or path can
smuggle in an option. Disks and interfaces are `disk0`, `net0`, … in QEMU. The devices are in `devices.py`;
what QEMU cannot do is refused in `preflight.py` before this is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qarax_node.drivers.qemu import clock, devices

if TYPE_CHECKING:
    from qarax_node.drivers.base import MachineSpec
    from qarax_node.drivers.qemu.probe import Installation

# The keeper hands descriptors on from 3 up, in the order process.py gives them.
QMP_FD = 3
SERIAL_FD = 4
FIRST_TAP_FD = 5

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
# The guest decides what a panic does (panic= on its command line); a poweroff keeps QEMU, so that a node that
# was away still finds out that the guest did it.
ACTIONS = "reboot=reset,shutdown=pause,panic=none"
# microvm has no other timer that a guest without kvmclock can use.
MICROVM = {"kvm": "pit=off,pic=off", "tcg": "pit=on,pic=on"}
# The code cache of TCG; QEMU's own default may grow by 1 GiB beside the guest's memory.
TCG_CACHE_MIB = 128


def command_line(spec: MachineSpec, installed: Installation) -> list[str]:
    """The arguments that start this VM, stopped before its first instruction."""
    return [
        installed.binary,
        *("-name", f"guest={spec.name.replace(',', ',,')},debug-threads=on", "-uuid", spec.vm_id),
        *("-S", "-nodefaults", "-no-user-config", "-display", "none"),
        *(("-sandbox", SANDBOX) if installed.sandbox else ()),
        *("-action", ACTIONS),
        *_machine(spec, installed.accelerator),
        *_kernel(spec, installed.accelerator),
        *_channels(),
        *devices.arguments(spec, FIRST_TAP_FD),
    ]


def _machine(spec: MachineSpec, accelerator: str) -> list[str]:
    machine = devices.machine_type(spec)
    options = (
        f"microvm,acpi=on,rtc=on,isa-serial=on,auto-kernel-cmdline=off,{MICROVM[accelerator]}"
        if machine == devices.MICROVM
        else "q35,usb=off,vmport=off,smbus=off,hpet=on"
    )
    return [
        *("-machine", f"{options},memory-backend=memory"),
        *("-accel", f"tcg,thread=multi,tb-size={TCG_CACHE_MIB}" if accelerator == "tcg" else "kvm"),
        *("-cpu", "max" if accelerator == "tcg" else "host"),
        *("-smp", _processors(spec)),
        *("-m", f"{spec.memory_size}B"),
        *("-object", devices.memory_backend(spec)),
    ]


def _processors(spec: MachineSpec) -> str:
    counts = f"cpus={spec.boot_vcpus},maxcpus={spec.max_vcpus}"
    topology = spec.cpu_topology
    if topology is None:
        return counts
    dies = topology["dies_per_package"]
    return (
        f"{counts},sockets={topology['packages']},cores={topology['cores_per_die']},"
        f"threads={topology['threads_per_core']}{f',dies={dies}' if dies > 1 else ''}"
    )


def _kernel(spec: MachineSpec, accelerator: str) -> list[str]:
    cmdline = spec.cmdline
    if accelerator == "tcg" and devices.machine_type(spec) == devices.MICROVM:
        cmdline = _with_clock(cmdline)
    initrd = ["-initrd", str(spec.initrd)] if spec.initrd else []
    return ["-kernel", str(spec.kernel), *initrd, "-append", cmdline]


def _with_clock(cmdline: str) -> str:
    """Tell a Linux guest the counter's frequency, unless it was told one; see clock.py."""
    khz = clock.counter_khz()
    if khz is None or "tsc_early_khz=" in cmdline:
        return cmdline
    return f"tsc_early_khz={khz} {cmdline}"


def _channels() -> list[str]:
    return [
        *("-chardev", f"socket,id=qmp,fd={QMP_FD},server=on,wait=off", "-mon", "chardev=qmp,mode=control"),
        *("-chardev", f"socket,id=serial,fd={SERIAL_FD},server=on,wait=off", "-serial", "chardev:serial"),
    ]
