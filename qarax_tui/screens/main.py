"""The main screen: the views on their stack, the lines around them, and the one door for every action.

Keys, clicks, `:` commands and the palette all end in `perform`. The views live in their own modules; what is
said here is where one goes and who is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on, work
from textual.containers import Container
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from qarax_tui.keys import BY_ID, ROOT_VIEWS, Action, for_view
from qarax_tui.messages import Climb, NoteChanged, Perform, Reveal, ViewChanged
from qarax_tui.screens.chrome import Banner, Crumbs, Footer, Header, Link, Tabs
from qarax_tui.screens.everywhere import HANDLERS, arrived, reveal
from qarax_tui.screens.format import count
from qarax_tui.screens.guard import Guarded
from qarax_tui.screens.jobs import Batch, Job, Report
from qarax_tui.screens.prompt import Asking, Prompt
from qarax_tui.screens.refusals import wrong_target
from qarax_tui.screens.roots import ROOTS
from qarax_tui.screens.table_view import TableView
from qarax_tui.screens.view import View, bindings

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult
    from textual.timer import Timer

    from qarax_tui.client.changes import Changes
    from qarax_tui.screens.session import Dashboard, Session

SMALLEST = (60, 16)
ROOMY = 30
_DRAW_SECONDS, _ERROR_SECONDS = 0.2, 12


class MainScreen(Guarded, Screen[None]):
    """Root views stay mounted once opened, so going back to one keeps its cursor; others come and go."""

    BINDINGS: ClassVar = bindings("*")

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session: Session = session
        self.roots: dict[str, View] = {}
        self.stack: list[View] = []
        self.awaited: tuple[str, str] | None = None
        self._drawing: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Header(id="header")
        yield Tabs(id="tabs")
        yield Banner(id="banner")
        yield Crumbs(id="crumbs")
        yield Container(id="views")
        yield Prompt()
        yield Footer(id="footer")
        yield Static(id="too-small")

    async def on_mount(self) -> None:
        await self.show_root("vms")
        self.set_interval(1, self._tick)
        self._follow_fleet()

    @property
    def view(self) -> View:
        return self.stack[-1]

    # --- where one is ------------------------------------------------------------------------------------

    async def show_root(self, view_id: str) -> View:
        """Open a root view; what was stacked on the one before is closed."""
        left, self.stack = self.stack[1:], self.stack[:1]
        for view in left:
            await view.remove()
        if view_id not in self.roots:
            self.roots[view_id] = ROOTS[view_id]()
            await self.query_one("#views").mount(self.roots[view_id])
        for root in self.roots.values():
            root.display = False
        view = self.roots[view_id]
        self.stack = [view]
        self._bring_up(view)
        return view

    def go_filtered(self, view_id: str, text: str) -> None:
        """Open a root list filtered by `text`."""
        self.call_later(self._show_filtered, view_id, text)

    async def _show_filtered(self, view_id: str, text: str) -> None:
        view = await self.show_root(view_id)
        if isinstance(view, TableView):
            complaint = view.set_filter(text)
            if complaint:
                self.toast(complaint, severity="warning")

    def go_to(self, subject_type: str, subject_id: str) -> None:
        """Show an object as soon as the fleet knows it."""
        self.call_later(reveal, self, subject_type, subject_id)

    def arrive(self, subject_type: str, subject_id: str) -> None:
        """Put the cursor on an object just made, as soon as the events have brought it."""
        self.awaited = (subject_type, subject_id)
        self.call_later(arrived, self)

    async def push(self, view: View) -> None:
        """Open a view on top of this one."""
        await view.begin(self.session)
        with self.app.batch_update():  # the two are never laid out beside each other
            await self.query_one("#views").mount(view)
            await view.ready()
            self.view.display = False
            self.stack.append(view)
            self._bring_up(view)

    async def pop(self) -> None:
        """Back to the view beneath; nothing when this is a root view."""
        if len(self.stack) > 1:
            await self.stack.pop().remove()
            self._bring_up(self.view)

    @on(Climb)
    async def _climb(self, message: Climb) -> None:
        while len(self.stack) > message.depth + 1:
            await self.pop()

    def _bring_up(self, view: View) -> None:
        view.display = True
        if view.behind:
            view.behind = False
            view.catch_up()
        view.focus_inside()
        self.draw()

    # --- what is done ------------------------------------------------------------------------------------

    def action_do(self, action_id: str) -> None:
        self.perform(action_id)

    @on(Perform)
    def _perform(self, message: Perform) -> None:
        self.perform(message.action_id)

    def perform(self, action_id: str) -> None:
        """Do an action on the view that is open, unless something speaks against it; then say what."""
        action = BY_ID[action_id]
        refusal = self.refusal(action)
        if refusal:
            self.toast(refusal, severity="warning")
            return
        (getattr(self.view, f"do_{action.id}", None) or partial(HANDLERS[action.id], self))()

    def refusal(self, action: Action) -> str:
        """Why an action cannot be done now, as a sentence; empty when it can."""
        if not action.applies(self.view.view_id):
            return f"{action.label} does not apply here."
        if action.changes and self.session.api.read_only:
            key = self.session.keymap.shown(BY_ID["read_only"])
            return f"Read-only mode: {action.label} is off. {key} unlocks."
        if action.changes and self.has_class("small"):
            return f"{action.label}: this terminal is too small to see what would happen."
        return wrong_target(action, self.view) or self.view.cannot(action.id)

    def available(self) -> list[Action]:
        """The actions that would be carried out now, for the footer."""
        return [action for action in for_view(self.view.view_id) if not self.refusal(action)]

    def run_jobs(self, title: str, jobs: Sequence[Job]) -> None:
        """Carry out jobs in the background; several get a report."""
        batch = Batch(title, jobs)
        if len(jobs) > 1:
            self.app.push_screen(Report(batch, self._run_batch))
        self._run_batch(batch)

    @work(group="jobs")
    async def _run_batch(self, batch: Batch) -> None:
        await batch.run()
        if len(batch.jobs) == 1 and batch.jobs[0].state == "failed":
            self.toast(batch.jobs[0].reason, title=batch.title, severity="error")

    def toast(self, text: str, *, title: str = "", severity: str = "information") -> None:
        how: Any = {"severity": severity, "timeout": _ERROR_SECONDS if severity == "error" else None}
        self.app.notify(text, title=title, markup=False, **how)

    # --- the prompt --------------------------------------------------------------------------------------

    def ask(self, asking: Asking) -> None:
        self.query_one(Prompt).ask(asking)

    def back_to_view(self) -> None:
        """Give the focus back after the prompt."""
        self.view.focus_inside()

    # --- what is shown -----------------------------------------------------------------------------------

    @work(group="fleet")
    async def _follow_fleet(self) -> None:
        async for changes in self.session.fleet.watch():
            for view in {*self.roots.values(), *self.stack}:
                if view.is_mounted and view.is_attached:
                    self._give(view, changes)
            if self.awaited is not None:
                self.call_later(arrived, self)
            if changes.connection:
                self.draw()
            else:
                self._draw_soon()

    def _draw_soon(self) -> None:
        """Many changes a second cost a few drawings of the lines around, not one each."""
        if self._drawing is None:
            self._drawing = self.set_timer(_DRAW_SECONDS, self.draw)

    def _give(self, view: View, changes: Changes) -> None:
        """What one view cannot digest is reported and ends neither the others nor the feed."""
        if not view.display:
            view.behind = True
            return
        try:
            view.take(changes)
        except Exception as error:  # noqa: BLE001 - ends where every unexpected exception ends
            self.qarax.report_failure(error)

    def _tick(self) -> None:
        if self.stack and self.view.is_mounted and self.view.is_attached:
            self.view.tick()
            self.draw_link()

    @on(ViewChanged)
    def _view_changed(self, message: ViewChanged) -> None:
        message.stop()
        if isinstance(message, NoteChanged):
            self._draw_crumbs()
        else:
            self.draw()

    def on_resize(self, event: events.Resize) -> None:
        small = event.size.width < SMALLEST[0] or event.size.height < SMALLEST[1]
        self.set_class(small, "small")
        self.set_class(event.size.height < ROOMY, "low")
        if small:
            sizes = f"{event.size.width}×{event.size.height}, {SMALLEST[0]}×{SMALLEST[1]} are needed"
            self.query_one("#too-small", Static).update(Content(f"This terminal is too small:\n{sizes}."))
        self.call_after_refresh(self.draw)

    def link(self) -> Link:
        """How things stand with the control plane."""
        connection = self.session.fleet.connection
        return Link(self.session.api.base_url, connection.state, connection.sentence, connection.age)

    def draw_link(self) -> None:
        link = self.link()
        fleet = self.session.fleet
        up = sum(host.status == "up" for host in fleet.hosts.values())
        summary = f"{count(len(fleet.vms), 'VM')} · {up} of {count(len(fleet.hosts), 'host')} up"
        orphans = sum(not orphan.ignored for orphan in fleet.orphans.values())
        summary += f" · {count(orphans, 'orphan')}" if orphans else ""
        self.query_one(Header).draw(link, summary, read_only=self.session.api.read_only)
        self.query_one(Banner).draw(link)

    @property
    def _drawable(self) -> bool:
        """False before the first view is there, and while the dashboard is being left."""
        return bool(self.stack) and self.view.is_attached and bool(self.query(Header))

    def draw(self) -> None:
        """Everything around the view."""
        self._drawing = None
        if not self._drawable:
            return
        self.draw_link()
        root = self.stack[0].view_id
        self.query_one(Tabs).draw(root if root in ROOT_VIEWS else "", self.session.keymap)
        self._draw_crumbs()
        if hint := self.view.hint():
            self.query_one(Footer).say(hint)
        else:
            self.query_one(Footer).draw(self.available(), self.session.keymap)

    def _draw_crumbs(self) -> None:
        if self._drawable:
            trail = [(part, depth) for depth, view in enumerate(self.stack) for part in view.trail()]
            self.query_one(Crumbs).draw(trail, self.view.note())

    @property
    def qarax(self) -> Dashboard:
        """The app, as far as the screens know it."""
        return cast("Dashboard", self.app)

    @on(Reveal)
    async def _reveal(self, message: Reveal) -> None:
        await reveal(self, message.subject_type, message.subject_id)
