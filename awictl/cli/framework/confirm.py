"""Ask for confirmation before data is deleted."""

import signal
import sys

from ...errors import Refused
from .escape import printable
from .params import CommandExit


def confirm(question: str, yes: bool) -> None:
    """Ask a question on the terminal, unless `yes`. Raises Refused without a terminal, and CommandExit if declined."""
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise Refused(f"{question} stdin is not a terminal; pass --yes to confirm")
    import typer

    # the event loop's handler would run only after the answer
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        agreed = typer.confirm(printable(question), err=True)
    except typer.Abort:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, handler)
    if not agreed:
        raise CommandExit(1)
