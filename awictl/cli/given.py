"""What users give to commands: spans of time, moments, ids, what stdin holds, and their consent."""

import math
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import InvalidInput, Refused

if TYPE_CHECKING:
    from datetime import datetime

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
#: Seconds between two looks, at the least.
SHORTEST_INTERVAL = 0.05
_UNITS_MS = (86_400_000, 3_600_000, 60_000, 1_000, 1)


def parse_duration(text: str) -> int:
    """A span of time such as 20m, 90s or 1h30m, in milliseconds. Raises typer.BadParameter."""
    match = _DURATION.fullmatch(text.strip().lower())
    if not text.strip() or match is None:
        raise typer.BadParameter(f"{text!r} is not a span of time such as 20m, 90s or 1h30m")
    return sum(int(count) * unit for count, unit in zip(match.groups(), _UNITS_MS, strict=True) if count)


def parse_interval(text: str) -> float:
    """The time between two looks: seconds such as 0.5, or a span such as 500ms. Raises typer.BadParameter."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = parse_duration(text) / 1000
    if not SHORTEST_INTERVAL <= seconds < math.inf:
        raise typer.BadParameter(f"{text!r} is no time of {SHORTEST_INTERVAL:g} seconds or more")
    return seconds


def check_finite(value: float | None) -> float | None:
    """The number itself. Raises typer.BadParameter for one that is none, or has no end."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is out of range")
    return value


def parse_moment(text: str) -> "datetime":
    """A moment: ISO 8601 such as 2026-11-23 or 2026-11-23T08:00Z (UTC unless it says so), or a span of time ago.

    Raises typer.BadParameter.
    """
    from datetime import UTC, datetime, timedelta

    try:
        return datetime.now(UTC) - timedelta(milliseconds=parse_duration(text))
    except (typer.BadParameter, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is no moment such as 2026-11-23, 2026-11-23T08:00 or 7d (ago)") from None


def read_stdin(limit: int = -1) -> bytes:
    """What stdin holds, at most `limit` bytes of it."""
    if sys.stdin is None:
        raise InvalidInput("stdin is closed: there is nothing to read for -")
    return sys.stdin.buffer.read(limit)


def read_json(given: str, what: str, limit: int, setting: str = "AWI_MAX_DELTA_BYTES") -> Any:
    """The JSON that was given as an argument, as @FILE, or as - for stdin.

    `limit`: bytes that it may have, which `setting` sets. Raises InvalidInput, saying `what` is wrong.
    """
    from ..document.json_codec import parse_input

    text = _text(given, limit)
    if len(text) > limit:
        raise InvalidInput(f"{what} has more than {limit:,} bytes, the limit that {setting} sets")
    try:
        return parse_input(text)
    except InvalidInput as error:
        raise InvalidInput(f"{what} is {error}") from None


def _text(given: str, limit: int) -> bytes:
    """The text itself; of a larger one just enough to tell."""
    if given == "-":
        return read_stdin(limit + 1)
    if given.startswith("@"):
        try:
            with Path(given[1:]).open("rb") as file:
                return file.read(limit + 1)
        except OSError as error:
            raise InvalidInput(f"{given}: {error.strerror}") from None
    return given.encode("utf-8", "surrogatepass")


def read_ids(ids: list[str], *, lines: bool = False) -> list[str]:
    """The ids that were given, those from stdin in the place of a `-`. Each once, in their order.

    `lines`: those of stdin stand one a line, since they may have spaces in them.
    """
    found: dict[str, None] = {}
    for one in ids:
        if one != "-":
            found[one] = None
            continue
        text = read_stdin().decode("utf-8", "surrogateescape")
        words = text.replace("\r\n", "\n").split("\n") if lines else text.split()
        found.update(dict.fromkeys(filter(None, words)))
    if not found:
        raise InvalidInput("no id was given")
    return list(found)


def confirm(question: str, yes: bool) -> None:
    """Ask before something is lost for good. Raises Refused where nobody can be asked, and typer.Exit at a no."""
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise Refused(f"{question} There is no terminal to ask at: say --yes")
    # the event loop's own handler would wait for the answer first
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, handler)
    if not agreed:
        raise typer.Exit(1)
