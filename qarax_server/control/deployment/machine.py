"""The machine that is deployed to: commands as root there, and files put in place whole or not at all.

Every command is a list of arguments. Nothing that a client of the API may choose is among them but what was
held against a grammar that admits no option.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from pathlib import Path

from qarax_server.control.deployment.report import Report
from qarax_server.errors import HostAccessError
from qarax_server.ssh.session import Ended, Session

CHUNK = 1 << 18


class CommandError(HostAccessError):
    """A command ended with another status than 0."""

    code = "command_failed"

    def __init__(self, command: str, ended: Ended, remedy: str = "") -> None:
        last = next((line for line in reversed(ended.output.splitlines()) if line.strip()), "it said nothing")
        how = f"ended with status {ended.status}" if ended.status >= 0 else "was ended"
        super().__init__(f"`{command}` {how}: {last}")
        self.command, self.ended, self.remedy = command, ended, remedy


class Machine:
    """One login; `sudo` for a user who is not root."""

    def __init__(self, session: Session, report: Report, *, sudo: bool) -> None:
        self._session = session
        self._report = report
        self._root = ["sudo", "-n", "--"] if sudo else []

    async def ask(self, *arguments: str) -> Ended:
        """Run a command as root whose failure is an answer too; it is not in the log."""
        return await self._session.run([*self._root, *arguments], hear=lambda _: None)

    async def run(self, *arguments: str, remedy: str = "", stdin: Iterator[bytes] | None = None) -> str:
        """Run a command as root, log it, and return what it wrote.

        Raises:
            CommandError: it ended with another status than 0.
        """
        command = shlex.join([*self._root, *arguments])
        self._report.say(f"$ {command}")
        ended = await self._session.run(
            [*self._root, *arguments], hear=self._report.say, stdin=() if stdin is None else stdin
        )
        if ended.status != 0:
            raise CommandError(command, ended, remedy)
        return ended.output

    def say(self, line: str) -> None:
        """Add a line to the log."""
        self._report.say(line)

    async def has(self, path: str, digest: str) -> bool:
        """Whether a file there has this SHA-256."""
        ended = await self.ask("sha256sum", "--", path)
        return ended.status == 0 and ended.output.split()[:1] == [digest]

    async def reads(self, path: str) -> str | None:
        """A small file there, None when there is none."""
        ended = await self.ask("cat", "--", path)
        return ended.output if ended.status == 0 else None

    async def put(self, content: bytes | Path, path: str, mode: str = "0644") -> bool:
        """Put a file in place in one moment; False when it was there already.

        Raises:
            CommandError: it could not be written, or arrived damaged.
        """
        digest = sha256(content)
        if await self.has(path, digest):
            return False
        self._report.say(f"> {path}")
        fresh = f"{path}.new"
        await self._must("mkdir", "-p", "--", str(Path(path).parent))
        await self._must("install", "-m", "0600", "/dev/null", fresh)
        await self._must("dd", f"of={fresh}", "bs=256K", "status=none", stdin=chunks(content))
        if not await self.has(fresh, digest):
            raise CommandError(f"sha256sum -- {fresh}", Ended(1, "the file arrived damaged"))
        await self._must("chmod", mode, fresh)
        await self._must("mv", "-fT", "--", fresh, path)
        return True

    async def _must(self, *arguments: str, stdin: Iterator[bytes] | None = None) -> None:
        """Run a command that is too small for the log, unless it fails."""
        given = [*self._root, *arguments]
        ended = await self._session.run(given, hear=lambda _: None, stdin=() if stdin is None else stdin)
        if ended.status != 0:
            raise CommandError(shlex.join(given), ended)


def sha256(content: bytes | Path) -> str:
    """The digest of a content, or of a file on this machine."""
    digest = hashlib.sha256()
    for chunk in chunks(content):
        digest.update(chunk)
    return digest.hexdigest()


def chunks(content: bytes | Path) -> Iterator[bytes]:
    """A content, or a file on this machine, in pieces."""
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
