"""The one error of the background stack: a sentence that says what happened and what to do."""

from __future__ import annotations


class StackError(Exception):
    """Printed as it is by `qarax`, which then exits 1; the text is for the person at the keyboard."""
