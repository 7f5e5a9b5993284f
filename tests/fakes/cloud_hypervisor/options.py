"""The command line of v53.0 as far as an API-only start takes it; anything else is a usage error, exit 2."""

from __future__ import annotations

import sys
from typing import NoReturn

USAGE = "Usage: cloud-hypervisor [OPTIONS]"
VALUES = ("--api-socket", "--event-monitor", "--log-file", "--log-format", "--seccomp", "--restore")
PAYLOADS = ("--kernel", "--firmware")
VM_CONFIG = (
    "--cpus", "--memory", "--disk", "--net", "--serial", "--console", "--cmdline", "--initramfs", "--rng",
    "--platform", "--landlock", "--landlock-rules", "--pvpanic", "--watchdog", "--vsock", "--fs", "--pmem",
    "--device", "--user-device", "--vdpa", "--balloon", "--numa", "--debug-console", "--tpm",
)  # fmt: skip
SECCOMP = ("true", "false", "log", "errno")


class Options:
    """What was asked for; `values` holds the options with a value."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.verbosity = 0
        self.no_shutdown = False
        self.version = False
        self.help = False


def parse(arguments: list[str]) -> Options:
    """Exits 2 with a sentence on stderr when the command line is wrong."""
    if not arguments:
        print(f"Launch a cloud-hypervisor VMM.\n\n{USAGE}", file=sys.stderr)
        raise SystemExit(2)
    options, rest = Options(), list(arguments)
    while rest:
        _take(options, rest)
    seccomp = options.values.get("--seccomp", "true")
    if seccomp not in SECCOMP:
        choices = ", ".join(SECCOMP)
        _fail(f"invalid value '{seccomp}' for '--seccomp <seccomp>'\n  [possible values: {choices}]")
    return options


def _take(options: Options, rest: list[str]) -> None:
    name, equals, value = rest.pop(0).partition("=")
    if name in ("-V", "--version"):
        options.version = True
    elif name in ("-h", "--help"):
        options.help = True
    elif name == "--no-shutdown":
        options.no_shutdown = True
    elif name.startswith("-v") and not name.strip("-v"):
        options.verbosity += len(name) - 1
    elif name in VALUES:
        if name in options.values:
            _fail(f"the argument '{name} <{name[2:]}>' cannot be used multiple times")
        if not equals:
            value = _value(name, rest)
        options.values[name] = value
    elif name in PAYLOADS:
        _fail(f"'{name}': this stand-in takes its VM through the API only")
    elif name in VM_CONFIG:
        _fail(
            "the following required arguments were not provided:\n  <--firmware <firmware>|--kernel <kernel>>"
        )
    else:
        _fail(f"unexpected argument '{name}' found")


def _value(name: str, rest: list[str]) -> str:
    if not rest or rest[0].startswith("-"):
        _fail(f"a value is required for '{name} <{name[2:]}>' but none was supplied")
    return rest.pop(0)


def _fail(message: str) -> NoReturn:
    print(f"error: {message}\n\n{USAGE}\n\nFor more information, try '--help'.", file=sys.stderr)
    raise SystemExit(2)


def keys_of(value: str, known: tuple[str, ...]) -> dict[str, str] | None:
    """`key=value,…` with known keys only; None when it is anything else."""
    pairs = [part.partition("=") for part in value.split(",")]
    if not all(equals and key in known for key, equals, _ in pairs):
        return None
    return {key: text for key, _, text in pairs}
