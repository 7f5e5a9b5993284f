"""psycopg2's errors as the domain's, for the operator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

import psycopg2
from psycopg2 import errors

from qarax_server.constraints import constraint_error
from qarax_server.errors import DatabaseUnavailable, Invalid


class Closable(Protocol):
    """A connection that knows whether it is over."""

    @property
    def closed(self) -> bool:
        """Whether it is."""
        ...


@contextlib.contextmanager
def mapped_errors(raw: Closable | None = None) -> Iterator[None]:
    """Turn psycopg2's errors into the domain's: constraint by name, loss of the connection, time limits."""
    try:
        yield
    except psycopg2.IntegrityError as error:
        raise constraint_error(error) from error
    except psycopg2.DataError as error:
        # values come from requests alone: a sum that no bigint holds is theirs too
        raise Invalid(f"a value does not fit: {_first_line(error)}", code="value_out_of_range") from error
    except TimeoutError as error:
        raise DatabaseUnavailable("PostgreSQL did not answer in time") from error
    except (errors.DeadlockDetected, errors.SerializationFailure) as error:
        raise DatabaseUnavailable("another change was in the way, and nothing was done: try again") from error
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise DatabaseUnavailable(f"PostgreSQL is away: {_first_line(error)}") from error
    except psycopg2.DatabaseError as error:
        if raw is None or not raw.closed:
            raise
        raise DatabaseUnavailable(f"PostgreSQL is away: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
