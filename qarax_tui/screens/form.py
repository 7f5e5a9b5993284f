"""A form in a dialog: values are checked while they are typed, and a server's refusal lands on its field.

A form is a list of `Field`s and a `submit` coroutine; the create, register and transfer forms are such lists.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Select, Static

from qarax_tui.client.errors import ApiError, ClientError
from qarax_tui.screens.dialog import Dialog
from qarax_tui.screens.ticks import Ticks

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.widget import Widget

Check = Callable[[str], Any]
Submit = Callable[[dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a form. `name` is the API's field, so that the server's errors find their way.

    `choices` are (what is shown, value) pairs and make it a picker; else `check` turns the text into the
    value or raises `ValueError` with the sentence to show. With `many` any number of choices can be ticked;
    `value` and the text for `check` then hold values separated by blanks.
    """

    name: str
    label: str
    check: Check = str
    value: str = ""
    hint: str = ""
    choices: Sequence[tuple[str, str]] | None = None
    password: bool = False
    many: bool = False


class FieldRow(Vertical):
    """Label and widget on one line, the hint or the error beneath."""

    def __init__(self, field: Field) -> None:
        super().__init__(classes="field")
        self.field = field
        self.problem = ""

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(Content(self.field.label), classes="field-label")
            yield self._widget()
        yield Static(Content(self.field.hint), classes="field-note")

    def _widget(self) -> Widget:
        field = self.field
        if field.choices is None:
            return Input(field.value, compact=True, password=field.password)
        if field.many:
            return Ticks(field.choices, field.value.split())
        options = [(Content(shown), value) for shown, value in field.choices]
        known = any(value == field.value for _, value in field.choices)
        blank = {} if known else {"prompt": field.hint or "choose"}
        initial = field.value if known else Select.NULL
        return Select(options, value=initial, compact=True, allow_blank=not known, **blank)  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        widget = self.query_one("Input, Select, Ticks")
        if isinstance(widget, Ticks):
            return " ".join(widget.value)
        value = widget.value if isinstance(widget, Input | Select) else ""
        return value if isinstance(value, str) else ""

    def checked(self) -> Any:
        """The value for the request; raises `ValueError` with the sentence for the operator."""
        return self.field.check(self.text)

    def show_problem(self, problem: str) -> None:
        self.problem = problem
        self.set_class(bool(problem), "invalid")
        self.query_one(".field-note", Static).update(Content(problem or self.field.hint))


class Form(Dialog[Any]):
    """Dismissed with what `submit` returned, or None when the operator left it."""

    BINDINGS: ClassVar = [
        Binding("escape", "leave", "Cancel", show=False),
        Binding("ctrl+s", "submit", "Submit", show=False),
    ]

    def __init__(self, title: str, fields: Sequence[Field], verb: str, submit: Submit) -> None:
        super().__init__()
        self.form_title, self.fields, self.verb, self.submit = title, fields, verb, submit
        self.touched: set[str] = set()

    def compose(self) -> ComposeResult:
        with Horizontal(classes="dialog form") as box:
            box.border_title = Content(self.form_title)
            with Vertical(classes="form-main"):
                with VerticalScroll(classes="form-fields", can_focus=False):
                    for field in self.fields:
                        yield FieldRow(field)
                yield Static("", id="form-error")
                with Horizontal(classes="buttons"):
                    yield Static(Content("ctrl+s sends"), classes="muted form-keys")
                    yield Button("Cancel", id="no", compact=True)
                    yield Button(Content(self.verb), id="yes", compact=True, variant="primary")
            yield from self.compose_beside()

    def compose_beside(self) -> ComposeResult:
        """What stands beside the fields; the create form puts the host verdicts here."""
        yield from ()

    def rows(self) -> list[FieldRow]:
        return list(self.query(FieldRow))

    def values(self) -> Mapping[str, Any] | None:
        """All values, or None while one of them is not valid. Shows problems of fields already touched."""
        found: dict[str, Any] = {}
        valid = True
        for row in self.rows():
            try:
                found[row.field.name] = row.checked()
            except ValueError as error:
                valid = False
                if row.field.name in self.touched:
                    row.show_problem(str(error))
            else:
                row.show_problem("")
        return found if valid else None

    @on(Input.Changed)
    @on(Select.Changed)
    @on(Ticks.Changed)
    def _changed(self, event: Input.Changed | Select.Changed | Ticks.Changed) -> None:
        row = next(node for node in event.control.ancestors if isinstance(node, FieldRow))
        if row.text != row.field.value:
            self.touched.add(row.field.name)
        self.query_one("#form-error", Static).update("")
        self.on_values(self.values())

    def on_values(self, values: Mapping[str, Any] | None) -> None:
        """Called after every change; for forms that show something while one types."""

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.action_submit()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self.action_submit()
        else:
            self.action_leave()

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_submit(self) -> None:
        self.touched |= {field.name for field in self.fields}
        values = self.values()
        if values is None:
            self._focus_first_problem()
        else:
            self._send(dict(values))

    @work(exclusive=True, group="submit")
    async def _send(self, values: dict[str, Any]) -> None:
        button = self.query_one("#yes", Button)
        button.disabled = True
        try:
            result = await self.submit(values)
        except ApiError as error:
            self.show_refusal(error)
            self._focus_first_problem()
        except ClientError as error:
            self.query_one("#form-error", Static).update(Content(f"{error.sentence} {error.fix}".strip()))
        else:
            self.dismiss(result)
        finally:
            button.disabled = False

    def show_refusal(self, error: ApiError) -> None:
        """The server's sentences, each beneath its field; the focus stays where it is."""
        rows = {row.field.name: row for row in self.rows()}
        beneath: dict[str, list[str]] = {}
        rest: list[str] = []
        for path, sentences in error.errors.items():
            name = _field_of(path, rows)
            if name:
                beneath.setdefault(name, []).extend(sentences)
            else:
                rest.append(f"{path}: {' '.join(sentences)}")
        for name, told in beneath.items():
            rows[name].show_problem(" ".join(told))
        message = " ".join(rest) if beneath or rest else error.sentence
        self.query_one("#form-error", Static).update(Content(message))

    def _focus_first_problem(self) -> None:
        for row in self.rows():
            if row.problem:
                row.query_one("Input, Select, Ticks").focus()
                return


def _field_of(path: str, names: Container[str]) -> str:
    """The form's field for an error at `config.path` or `networks.0.tap`; empty when it has none."""
    parts = path.split(".")
    return next((part for part in (path, parts[-1], parts[0]) if part in names), "")
