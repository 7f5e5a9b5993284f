"""What all bodies have in common: unknown fields are refused, `null` is as good as absent.

`Body` is what a client sends, `Answer` what it gets: an answer carries every field, null when empty.
"""

from __future__ import annotations

from typing import Any

from marshmallow import RAISE, Schema, pre_load


class Body(Schema):
    """A request body: a JSON object and nothing else."""

    error_messages = {"type": "Must be a JSON object, in braces."}  # noqa: RUF012 - as marshmallow declares it

    class Meta:
        """Refuse what no field knows."""

        unknown = RAISE

    @pre_load
    def drop_nulls(self, data: Any, **_: Any) -> Any:
        """`null` for an optional field means that it was left out."""
        if not isinstance(data, dict):
            return data
        known = self.fields
        return {
            name: value
            for name, value in data.items()
            if value is not None or name not in known or known[name].required
        }

    def on_bind_field(self, field_name: str, field_obj: Any) -> None:
        """An optional field may be null, and the OpenAPI document says so."""
        super().on_bind_field(field_name, field_obj)
        field_obj.error_messages["required"] = "Missing, and required."
        if not field_obj.required:
            field_obj.allow_none = True


class Answer(Schema):
    """A JSON answer: every field is there."""

    class Meta:
        """A test that reads answers through these schemas sees every stray field."""

        unknown = RAISE

    def on_bind_field(self, field_name: str, field_obj: Any) -> None:
        """Say in the OpenAPI document that no field is ever left out."""
        super().on_bind_field(field_name, field_obj)
        field_obj.required = field_name not in getattr(self, "may_be_left_out", ())


class Query(Schema):
    """The parameters of a query string; an unknown one is a typing mistake, and refused."""

    class Meta:
        """Refuse what no field knows."""

        unknown = RAISE
