"""The roles of tokens. Each route says in `documented(role=…)` which one it needs; a higher one does too."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a caller may do, in rising order.

    `ANYONE` is no token's role: it marks the few routes that ask for none.
    """

    ANYONE = "anyone"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, needed: Role) -> bool:
        """Whether this role is enough where another one is needed."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


GRANTED = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
"""What a token can have."""
