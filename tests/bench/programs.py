"""Other people's programs, as peers: PostgreSQL's clients, and what is or is not installed here."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from qarax_tui.stack.postgres import wheel_directory
from tests.postgres import TestDatabase


def installed(name: str) -> str | None:
    """Where a program is: the database's own tools from the wheel, the rest from PATH."""
    own = wheel_directory() / "pginstall" / "bin" / name
    return str(own) if own.exists() else shutil.which(name)


async def run(*command: str, seconds: float = 120.0) -> bytes:
    """Run a program to its end and return what it printed; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(seconds):
        output, errors = await process.communicate()
    assert process.returncode == 0, (command, errors.decode()[-500:])
    return output


def psql(database: TestDatabase, statement: str) -> list[str]:
    """The command that prints a statement's answer and nothing else."""
    program = installed("psql")
    assert program, "psql is not installed"
    return [program, "-X", "-Atc", statement, database.dsn]


async def pgbench(
    database: TestDatabase, script: str, clients: int, each: int, **variables: int
) -> Mapping[str, float]:
    """Transactions per second of a script, connections made before; prepared statements, two threads."""
    program = installed("pgbench")
    assert program, "pgbench is not installed"
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = [program, "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-t", str(each)]
        for name, value in variables.items():
            command += ["-D", f"{name}={value}"]
        command += ["-h", database.host, "-p", str(database.port), "-U", database.username]
        text = (await run(*command, "-f", file.name, database.database_name)).decode()
    rate = re.search(r"tps = ([0-9.]+) \(without initial", text)
    failed = re.search(r"number of failed transactions: (\d+)", text)
    assert rate, text
    return {"tps": float(rate[1]), "failed": float(failed[1]) if failed else 0.0}


def first_missing(*paths: Path) -> Path | None:
    """The first of the files that is not there."""
    return next((path for path in paths if not path.exists()), None)
