"""Moments of a session as values of options: an action, a time, or how long ago."""

from typing import TYPE_CHECKING, Annotated

from ...errors import InvalidInput
from .params import option

if TYPE_CHECKING:
    from ...document.history.moments import Moment

At = Annotated[
    str | None,
    option(
        "--at",
        metavar="T",
        help="As it was then: number of an action such as 17, time of day (UTC) such as 12:05:30, time such as "
        "2026-11-23T12:05:30, or -5m for 5 minutes ago.",
    ),
]


def moment_of(name: str, text: str | None) -> "Moment | None":
    """Parse the value of an option; None without one. Raises InvalidInput, which names the option."""
    if text is None:
        return None
    from ...document.history.moments import parse_moment_of  # most commands are not given a moment

    try:
        return parse_moment_of(text)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from None
