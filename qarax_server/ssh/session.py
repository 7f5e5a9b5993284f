"""A login on another machine, and the commands run there: each a list of arguments, never a line of shell.

The machine is known by its key before anything is told to it, a password included. What it writes is bounded
and made printable: it is as untrusted as any input.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import logging
import re
import shlex
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import asyncssh

from qarax_server.errors import HostAccessError
from qarax_server.ssh import keys

CONNECT_SECONDS = 20.0
KEEPALIVE_SECONDS = 15
CHUNK = 1 << 16
MOST_OUTPUT = 1 << 20
UNPRINTABLE = re.compile(r"[^\t\x20-\x7e\u00a0-\ud7ff\ue000-\ufffc]")

logging.getLogger("asyncssh").setLevel(logging.WARNING)  # it tells each step of each login otherwise


@dataclass(frozen=True)
class Login:
    """Who logs in where. `address` is numeric and checked, `host_key` the only one that will do."""

    address: str
    port: int
    user: str
    host_key: str
    key_path: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status (negative: by a signal or without a word) and its output."""

    status: int
    output: str


class Session:
    """An open connection."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self._connection = connection

    async def run(
        self,
        arguments: Sequence[str],
        *,
        hear: Callable[[str], None],
        stdin: Iterable[bytes] = (),
    ) -> Ended:
        """Run a command to its end; its lines, standard error among them, are heard as they come.

        Raises:
            HostAccessError: the connection is lost, or the command writes without end.
        """
        try:
            process = await self._connection.create_process(
                shlex.join(arguments), encoding=None, stderr=asyncssh.STDOUT
            )
            feeding = asyncio.create_task(_feed(process, stdin))
            try:
                output = await _listen(process, hear)
                await feeding
                await process.wait_closed()
            except BaseException:
                _give_up(process)
                raise
            finally:
                feeding.cancel()
        except (OSError, asyncssh.Error) as error:
            reason = getattr(error, "reason", None) or str(error)
            raise HostAccessError(f"the SSH connection was lost: {reason}") from error
        status = process.exit_status
        return Ended(-1 if status is None else status, output)


@contextlib.asynccontextmanager
async def connected(login: Login) -> AsyncIterator[Session]:
    """Log in.

    Raises:
        HostAccessError: nobody answers, it is another machine, or the login is refused.
    """
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await _connect(login)
    except TimeoutError as error:
        raise HostAccessError(
            f"{login.address} port {login.port} did not let {login.user} in within {CONNECT_SECONDS:.0f} s"
        ) from error
    except asyncssh.PermissionDenied as error:
        raise HostAccessError(_refused(login), code="ssh_login_refused") from error
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        raise await _other_machine(login) from error
    except (OSError, asyncssh.Error) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        message = f"{login.address} port {login.port} does not answer to SSH: {reason}"
        raise HostAccessError(message) from error
    try:
        yield Session(connection)
    except BaseException:
        connection.abort()  # whoever is cancelled does not wait for the other side
        raise
    finally:
        connection.close()
        await connection.wait_closed()


async def _connect(login: Login) -> asyncssh.SSHClientConnection:
    methods = ["publickey"] if login.key_path else []
    methods += ["password", "keyboard-interactive"] if login.password else []
    return await asyncssh.connect(
        login.address,
        login.port,
        username=login.user,
        known_hosts=([keys.read(login.host_key)], [], []),
        client_keys=[_read_key(login.key_path)] if login.key_path else None,
        password=login.password or None,
        preferred_auth=methods,
        # nothing from the account that the server runs in
        config=None,
        agent_path=None,
        gss_host=None,
        client_host_keys=None,
        x509_trusted_certs=None,
        keepalive_interval=KEEPALIVE_SECONDS,
    )


def _read_key(path: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.read_private_key(path)
    except asyncssh.KeyEncryptionError as error:
        message = f"deployment.ssh_key_path: {path} is protected by a passphrase: name a key without one"
        raise HostAccessError(message) from error
    except (OSError, asyncssh.KeyImportError) as error:
        raise HostAccessError(f"deployment.ssh_key_path: {path} cannot be read: {error}") from error


def _refused(login: Login) -> str:
    tried = [f"the key {login.key_path}"] if login.key_path else []
    tried += ["the password"] if login.password else []
    who = f"{login.user} at {login.address} port {login.port}"
    return (
        f"{who} was not let in with {' or '.join(tried)}: add the public key to "
        f"~{login.user}/.ssh/authorized_keys there, or give the right user and password"
    )


async def _other_machine(login: Login) -> HostAccessError:
    known = keys.fingerprint(login.host_key)
    try:
        shown = keys.fingerprint(await keys.fetch_host_key(login.address, login.port, CONNECT_SECONDS))
    except (HostAccessError, ValueError):
        shown = "none that could be read"
    return HostAccessError(
        f"{login.address} port {login.port} is another machine than before: its SSH host key is {shown}, "
        f"known is {known}. If it was installed anew, forget the old key: PATCH /hosts/{{host_id}} with "
        '{"ssh_host_key": ""}',
        code="ssh_host_key_changed",
    )


def _give_up(process: asyncssh.SSHClientProcess[bytes]) -> None:
    """End a command without waiting for it: the other side need not obey."""
    with contextlib.suppress(OSError):  # the channel is gone already
        process.kill()
    process.close()


async def _feed(process: asyncssh.SSHClientProcess[bytes], content: Iterable[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):  # it ended without reading everything; its status says why
        for chunk in content:
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.write_eof()


async def _listen(process: asyncssh.SSHClientProcess[bytes], hear: Callable[[str], None]) -> str:
    """Read to the end, a line at a time; of a very long line the beginning."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    lines: list[str] = []
    rest, size = "", 0
    while chunk := await process.stdout.read(CHUNK):
        size += len(chunk)
        if size > MOST_OUTPUT:
            raise HostAccessError(f"the command wrote more than {MOST_OUTPUT} bytes and was given up")
        *whole, rest = (rest + decoder.decode(chunk)).replace("\r", "\n").split("\n")
        for each in whole:
            lines.append(UNPRINTABLE.sub("\ufffd", each))
            hear(lines[-1])
    if rest:
        lines.append(UNPRINTABLE.sub("\ufffd", rest))
        hear(lines[-1])
    return "\n".join(lines)
