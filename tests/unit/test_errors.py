"""Exceptions: exit codes, default messages, and the class tree in the module's docstring."""

from __future__ import annotations

import inspect
import re

import pytest

from awictl import errors

EXIT_CODES = {
    "AwiError": 1,
    "InvalidInput": 2,
    "NotFound": 3,
    "NoSession": 3,
    "Refused": 4,
    "ReadOnly": 4,
    "AccessDenied": 4,
    "HasEnded": 4,
    "UpdateConflict": 4,
    "TooLarge": 4,
    "RateLimited": 4,
    "Unreachable": 5,
    "InvalidData": 6,
    "OutcomeUnknown": 7,
    "Unconfirmed": 7,
}
CLASSES = dict(inspect.getmembers(errors, inspect.isclass))
#: The exceptions that need no message.
WITH_DEFAULT = sorted(CLASSES.keys() - {"OutcomeUnknown", "Unconfirmed", "RateLimited", "NoSession"})


def test_exit_codes() -> None:
    assert {name: one.exit_code for name, one in CLASSES.items()} == EXIT_CODES
    assert all(issubclass(one, errors.AwiError) for one in CLASSES.values())


def test_the_docstring_shows_the_class_tree() -> None:
    drawn = dict(re.findall(r"^ {4}[ │├└─]*([A-Z]\w+)(?: +(\d))?", errors.__doc__ or "", re.MULTILINE))
    assert drawn.keys() == CLASSES.keys()
    for name, code in drawn.items():
        inherited = CLASSES[name].__base__.exit_code if name != "AwiError" else None
        assert (int(code) if code else inherited) == CLASSES[name].exit_code


@pytest.mark.parametrize("name", WITH_DEFAULT)
def test_the_docstring_is_the_default_message(name: str) -> None:
    error = CLASSES[name]
    message = str(error())
    assert message == error.__doc__
    assert message.endswith(".") and "\n" not in message
    assert str(error("what happened")) == "what happened"


def test_outcome_unknown_has_an_op_id() -> None:
    error = errors.OutcomeUnknown("the reply was lost", op_id="op_1")
    assert (str(error), error.op_id) == ("the reply was lost", "op_1")


def test_unconfirmed_says_how_many_acknowledged() -> None:
    error = errors.Unconfirmed("1 of 2", op_id="op_1", acknowledged=1, wanted=2)
    assert isinstance(error, errors.OutcomeUnknown)
    assert (str(error), error.op_id, error.acknowledged, error.wanted) == ("1 of 2", "op_1", 1, 2)
