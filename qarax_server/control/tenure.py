"""What a server knows of the lease, and what follows from it. Pure: moments are given, nothing is asked.

    standby ──claimed──> active ──renewed──> active
       ^                   │
       └─ taken, or not renewed for as long as it lasts

Moments are seconds of a clock that this machine never sets back and that runs while it sleeps. The end of a
term is counted from when the database was asked, so a server stops before anybody else may begin. A standby
takes over when the database says that the term is over, or when it saw no renewal for as long as a term
lasts: the database's clock may have been set back. Should two servers take themselves for the active one all
the same (that clock jumped ahead), the nodes obey the larger fencing number alone; it outgrows even one that
the database has lost (`sql/queries/lease.sql`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Tenure:
    """What one server knows.

    `fence` is its fencing number while it is the active one, `until` the moment from which it may not act.
    While it is a standby, `mark` is what it last saw of the lease, and `since` when it saw that first.
    """

    fence: int | None = None
    until: float = 0.0
    mark: str | None = None
    since: float = 0.0

    def active(self, now: float) -> bool:
        """Whether the server may change things at this moment."""
        return self.fence is not None and now < self.until

    def over(self, now: float) -> bool:
        """Whether it was the active one and is to step down."""
        return self.fence is not None and now >= self.until

    def stale(self, now: float, seconds: float) -> str | None:
        """The mark of a lease that nobody renewed for a whole term; None while somebody may."""
        return self.mark if self.mark is not None and now - self.since > seconds else None

    def claimed(self, fence: int, asked: float, seconds: float) -> Tenure:
        """The database gave it the lease for so many seconds; it was asked at `asked`."""
        return Tenure(fence, asked + seconds)

    def renewed(self, asked: float, seconds: float) -> Tenure:
        """The database prolonged the lease."""
        return replace(self, until=asked + seconds)

    def saw(self, mark: str | None, now: float) -> Tenure:
        """Somebody else has the lease; `mark` changes with every renewal."""
        return self if mark == self.mark else replace(self, mark=mark, since=now)
