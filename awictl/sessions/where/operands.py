"""The operands of expressions: fields and constants; and the errors, which have a position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import InvalidInput
from ...util.nearest import nearest
from .fields import FIELDS, STATE, Kind, NamedField, Values, at_path

#: Maximum number of characters of a value that an error repeats.
_SHOWN = 40


class InvalidExpression(InvalidInput):
    """The expression is not valid."""

    def __init__(self, message: str, position: int, expression: str = "") -> None:
        super().__init__(message)
        #: Where the error is: the number of characters before it.
        self.position = position
        self.expression = expression


@dataclass(frozen=True, slots=True)
class Operand:
    """One side of a comparison: a field or a constant."""

    kind: Kind
    values: Values
    #: Number of characters before it.
    position: int
    #: What it is called in errors.
    name: str
    #: The field that it names; None for a constant, and for a field of the document.
    field: NamedField | None = None
    #: The value of a constant.
    constant: Any = None

    @property
    def is_constant(self) -> bool:
        """Whether it is a value, not a field."""
        return self.field is None and self.kind is not Kind.ANY


def field_operand(path: Sequence[str], position: int) -> Operand:
    """The field at a path. Raises InvalidExpression if there is none."""
    name = path[0]
    if name == STATE and len(path) == 1:  # lists have a column of this name, which is the field status
        raise InvalidExpression(
            "state is the whole document: name a field of it, as in state.page_state.route; "
            'whether it is live or has ended is the field status, as in status == "ended"',
            position,
        )
    if name == STATE:
        return Operand(Kind.ANY, at_path(path[1:]), position, ".".join(path))
    if (found := FIELDS.get(name)) is None:
        if len(path) > 1:
            hint = f"; a field of the document starts with state: {shown('.'.join([STATE, *path]))}"
        elif not (hint := nearest(name, [*FIELDS, STATE])):
            names = ", ".join(one for one in FIELDS if one != "id")
            hint = f"; there are {names}, and state.… for fields of the document; text is written in quotes"
        raise InvalidExpression(f"there is no field {shown(name)}{hint}", position)
    if len(path) > 1:
        raise InvalidExpression(f"{name} has no fields; only state has, as in state.{'.'.join(path)}", position)
    return Operand(found.kind, found.values, position, name, found)


def constant(kind: Kind, value: Any, position: int, text: str) -> Operand:
    """A value that stands in the expression as `text`."""
    return Operand(kind, lambda _: (value,), position, shown(text), None, value)


def shown(text: str) -> str:
    """A part of the expression as an error repeats it."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
