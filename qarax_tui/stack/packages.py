"""Installing what the distribution has and this machine lacks: said aloud first, by sudo when not root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable

from qarax_tui.stack.errors import StackError
from qarax_tui.stack.processes import FOR_EVERYBODY

APT_SECONDS = 600


def ensure_program(program: str, package: str, *, why: str, install: bool, say: Callable[[str], None]) -> str:
    """Return the path of `program`, installing `package` when it is missing and `install` allows it.

    Raises:
        StackError: with the command to type.
    """
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    if found := shutil.which(program, path=path):
        return found
    missing = f"{program} is missing ({why})"
    by_hand = f"sudo apt-get install --no-install-recommends {package}"
    if not install:
        raise StackError(f"{missing}. Install it: {by_hand}")
    if not shutil.which("apt-get"):
        raise StackError(f"{missing}, and this machine has no apt-get. Install {package} with its own tools.")
    _install(package, missing, by_hand, say)
    if found := shutil.which(program, path=path):
        return found
    raise StackError(f"{missing}, also after installing {package}.")


def _install(package: str, missing: str, by_hand: str, say: Callable[[str], None]) -> None:
    prefix = _root_prefix(missing, by_hand)
    say(f"{missing}: installing the package {package} with {' '.join([*prefix, 'apt-get'])}")
    wanted = ["install", "-y", "-q", "--no-install-recommends", package]
    if _apt(prefix, wanted) != "" and _apt(prefix, ["update", "-q"]) == "":
        say("package lists updated")
    if reason := _apt(prefix, wanted):
        raise StackError(
            f"{missing}, and apt-get could not install it: {reason} Once there is a network: {by_hand}"
        )


def _root_prefix(missing: str, by_hand: str) -> list[str]:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        raise StackError(f"{missing}, and there is no sudo to install it with. As root: {by_hand[5:]}")
    return ["sudo"] if sys.stdin.isatty() else ["sudo", "-n"]


def _apt(prefix: list[str], arguments: list[str]) -> str:
    """Run apt-get; the last lines of its complaint, empty when it succeeded."""
    command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=APT_SECONDS, umask=FOR_EVERYBODY
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {APT_SECONDS} s."
    return "" if done.returncode == 0 else " ".join((done.stderr or done.stdout).strip().splitlines()[-2:])
