"""Landlock as v53.0 applies it in vm.create: really, by the kernel, for this thread and those it makes later.

The paths of the config that exist get the access the VMM needs, then those of `landlock_rules`; whatever is
opened later by a path elsewhere fails with EACCES.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from typing import TYPE_CHECKING, Any

from tests.fakes.cloud_hypervisor.errors import VmError, os_error

if TYPE_CHECKING:
    from collections.abc import Iterator

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
ASK_VERSION = 1
OLDEST_ABI = 3
PATH_BENEATH = 1
NO_NEW_PRIVS = 38
READ = 0b1101  # execute, read a file, read a directory
WRITE = 0b111_1111_1111_0010  # write, remove, make, refer, truncate
OF_A_FILE = 0b100_0000_0000_0111
ACCESS = {"r": READ, "w": WRITE, "rw": READ | WRITE, "wr": READ | WRITE}

libc = ctypes.CDLL(None, use_errno=True)


def apply(config: dict[str, Any]) -> None:
    """Confine this thread for good. Raises VmError as vm.create reports it."""
    try:
        _check_abi()
        handled = struct.pack("=Q", READ | WRITE)
        ruleset = _call(CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), 0)
        for path, access in _rules(config):
            _allow(ruleset, path, ACCESS[access])
        libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0)
        _call(RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)
    except OSError as error:
        title = "Failed to apply landlock config during vm_create"
        raise VmError(title, "Error creating/adding/restricting ruleset", os_error(error)) from None


def _check_abi() -> None:
    if _call(CREATE_RULESET, None, ctypes.c_size_t(0), ASK_VERSION) < OLDEST_ABI:
        raise OSError(95, os.strerror(95))


def _rules(config: dict[str, Any]) -> Iterator[tuple[str | None, str]]:
    for disk in config["disks"] or []:
        yield disk["path"], "rw"
    yield config["rng"]["src"], "r"
    for output in ("console", "serial", "debug_console"):
        for place in ("file", "socket"):
            yield config[output].get(place), "rw"
    for part in ("firmware", "kernel", "initramfs"):
        yield (config["payload"] or {}).get(part), "r"
    if config["vsock"]:
        yield os.path.dirname(config["vsock"]["socket"]) or ".", "w"
        yield config["vsock"]["socket"], "rw"
    if config["net"] is not None:
        yield "/dev/net/tun", "rw"
    for rule in config["landlock_rules"] or []:
        yield rule["path"], rule["access"]


def _allow(ruleset: int, path: str | None, access: int) -> None:
    """A path that is not there is passed over."""
    if path is None or not os.path.exists(path):
        return
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        access &= OF_A_FILE
    _call(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    os.close(descriptor)


def _call(number: int, *arguments: Any) -> int:
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
