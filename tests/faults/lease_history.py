"""Several servers at one lease, as a seeded history: crashes, pauses, lost answers and clocks that are set.

Who is active is decided by the server's own rules (`tenure`). Modelled here are the row in the database,
whose clock may be set, the servers' loop around it, and a node that remembers the largest fencing number. A
server that is frozen (its machine is paused from outside) has a clock that stands still meanwhile.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from qarax_server.control.lease import FREE_SECONDS
from qarax_server.control.tenure import Tenure
from qarax_server.settings import Lease

SETTINGS = Lease()
TAKEOVER_SECONDS = 15.0
LATENCY = 0.4
HOUR = 3600.0


@dataclass
class Row:
    """The lease as `sql/queries/lease.sql` keeps it."""

    holder: str = ""
    fence: int = 0
    expires: float = 0.0

    @property
    def mark(self) -> str:
        return f"{self.fence} {self.expires}"

    def claim(self, holder: str, clock: float, stale: str | None) -> int | None:
        if self.fence and self.expires >= clock and holder != self.holder and stale != self.mark:
            return None
        self.holder, self.fence, self.expires = holder, self.fence + 1, clock + SETTINGS.seconds
        return self.fence

    def renew(self, holder: str, fence: int, clock: float) -> bool:
        if (self.holder, self.fence) != (holder, fence):
            return False
        self.expires = clock + SETTINGS.seconds
        return True


@dataclass
class Server:
    """One of them. `stops`: reasons why it stands still; `behind`: how much its frozen clock missed."""

    name: str
    tenure: Tenure = field(default_factory=Tenure)
    stops: int = 0
    frozen: bool = False
    dead: bool = False
    behind: float = 0.0
    life: int = 0  # another one after each restart

    @property
    def stopped(self) -> bool:
        return self.stops > 0


@dataclass
class LeaseHistory:
    """Play a seed for so many seconds; `trace` tells what was done."""

    seed: int
    clocks_are_true: bool = False
    now: float = 0.0
    offset: float = 0.0
    row: Row = field(default_factory=Row)
    largest: int = 0
    owners: dict[int, tuple[str, int]] = field(default_factory=dict)
    away: bool = False
    trace: list[str] = field(default_factory=list)
    longest: float = 0.0
    takeovers: int = 0

    def __post_init__(self) -> None:
        self.choose = random.Random(self.seed)
        self.servers = [Server(name) for name in "abc"[: self.choose.randint(2, 3)]]
        self._numbers = itertools.count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._waiting_since = 0.0
        for server in self.servers:
            self._later(self.choose.random(), partial(self._step, server, 0))

    def play(self, seconds: float) -> None:
        self._later(self.choose.expovariate(0.2), self._trouble)
        self._later(0.1, self._command)
        while self._agenda and self._agenda[0][0] < seconds:
            self.now, _, event = heapq.heappop(self._agenda)
            event()
            self._check()

    def _later(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + seconds, next(self._numbers), event))

    def _clock(self, server: Server) -> float:
        return self.now - server.behind

    def _step(self, server: Server, life: int) -> None:
        """One round of `Lease.keep`: ask, and hear the answer a little later."""
        if life != server.life:
            return
        if server.stopped:
            self._later(0.1, lambda: self._step(server, life))
            return
        asked, tenure = self._clock(server), server.tenure
        self._later(
            self.choose.uniform(0, LATENCY), lambda: self._database_answers(server, life, asked, tenure)
        )

    def _database_answers(self, server: Server, life: int, asked: float, tenure: Tenure) -> None:
        found: Tenure | None = None
        if not self.away:
            found = self._execute(server, asked, tenure)
            if self.choose.random() < 0.05:
                found = None  # done, and the answer is lost
        self._later(self.choose.uniform(0, LATENCY), lambda: self._hear(server, life, found))

    def _execute(self, server: Server, asked: float, tenure: Tenure) -> Tenure:
        clock, seconds = self.now + self.offset, SETTINGS.seconds
        if tenure.fence is not None:
            kept = self.row.renew(server.name, tenure.fence, clock)
            return tenure.renewed(asked, seconds) if kept else Tenure()
        fence = self.row.claim(server.name, clock, tenure.stale(asked, seconds))
        if fence is None:
            return tenure.saw(self.row.mark, self._clock(server))
        self.takeovers += 1
        if server.stopped or server.dead:
            self._fails(server)  # the database did what it had been asked before
        self.trace.append(f"{self.now:.1f}: {server.name} claims {fence}")
        return tenure.claimed(fence, asked, seconds)

    def _hear(self, server: Server, life: int, found: Tenure | None) -> None:
        if life != server.life:
            return
        if server.stopped:
            self._later(0.1, lambda: self._hear(server, life, found))
            return
        server.tenure = server.tenure if found is None else found
        if server.tenure.over(self._clock(server)):
            server.tenure = Tenure()
        rest = FREE_SECONDS if server.tenure.fence is None else SETTINGS.renew_seconds
        self._later(rest, lambda: self._step(server, life))

    def _command(self) -> None:
        """Whoever takes itself for the active server tells the node something, which arrives some time."""
        for server in self._active():
            fence, who = server.tenure.fence or 0, (server.name, server.life)
            self._later(self.choose.expovariate(2.0), partial(self._node_hears, fence, who))
        self._later(self.choose.uniform(0.1, 1.0), self._command)

    def _node_hears(self, fence: int, who: tuple[str, int]) -> None:
        if fence < self.largest:
            self.trace.append(f"{self.now:.1f}: the node refuses {fence} of {who[0]}")
            return
        self.largest = fence
        assert self.owners.setdefault(fence, who) == who, f"{fence} was accepted of {self.owners[fence]}"

    def _trouble(self) -> None:
        kinds = [self._stop, self._stop, self._kill, self._cut]
        if not self.clocks_are_true:
            kinds += [self._freeze, self._set_clock, self._set_clock]
        self.choose.choice(kinds)()
        self._later(self.choose.expovariate(0.05), self._trouble)

    def _stop(self) -> None:
        """SIGSTOP and, some time later, SIGCONT."""
        server, seconds = self.choose.choice(self.servers), self.choose.expovariate(0.05)
        server.stops += 1
        self._fails(server)
        self.trace.append(f"{self.now:.1f}: {server.name} sleeps {seconds:.1f}")
        self._later(seconds, lambda: self._wake(server))

    def _fails(self, server: Server) -> None:
        """From the failure of the lease's holder on a takeover is waited for."""
        if server.name == self.row.holder:
            self._waiting_since = self.now

    def _wake(self, server: Server) -> None:
        server.stops -= 1

    def _freeze(self) -> None:
        """Its whole machine stands still, and its clock with it."""
        server, seconds = self.choose.choice(self.servers), self.choose.expovariate(0.05)
        if server.frozen:
            return
        server.stops, server.frozen = server.stops + 1, True
        self._fails(server)
        self.trace.append(f"{self.now:.1f}: {server.name} is frozen for {seconds:.1f}")

        def thaw() -> None:
            server.behind, server.frozen = server.behind + seconds, False
            self._wake(server)

        self._later(seconds, thaw)

    def _kill(self) -> None:
        """SIGKILL, and a restart under the same name some time later."""
        server, seconds = self.choose.choice(self.servers), self.choose.expovariate(0.1)
        server.life, server.tenure, server.dead = server.life + 1, Tenure(), True
        life = server.life
        self._fails(server)
        self.trace.append(f"{self.now:.1f}: {server.name} is killed for {seconds:.1f}")

        def restart() -> None:
            if life == server.life:
                server.dead = False
                self._step(server, life)

        self._later(seconds, restart)

    def _cut(self) -> None:
        """PostgreSQL is away for a while."""
        seconds = self.choose.expovariate(0.1)
        self.away = True
        self.trace.append(f"{self.now:.1f}: no database for {seconds:.1f}")

        def back() -> None:
            self.away = False
            self._waiting_since = self.now

        self._later(seconds, back)

    def _set_clock(self) -> None:
        self.offset += self.choose.choice([-HOUR, -5.0, 5.0, HOUR])
        self.trace.append(f"{self.now:.1f}: the database's clock is {self.offset:+.0f}")

    def _active(self) -> list[Server]:
        return [
            server
            for server in self.servers
            if not (server.stopped or server.dead) and server.tenure.active(self._clock(server))
        ]

    def _check(self) -> None:
        active = self._active()
        if self.clocks_are_true:
            assert len(active) <= 1, f"{self.now}: {[each.name for each in active]} are active at once"
        awake = any(not server.stopped and not server.dead for server in self.servers)
        if active or self.away or not awake:
            self._waiting_since = self.now
        self.longest = max(self.longest, self.now - self._waiting_since)
        assert self.longest <= TAKEOVER_SECONDS, f"{self.now}: nobody is active for {self.longest:.1f} s"
