"""Ask for confirmation before something is lost for good."""

import signal
import sys

import typer

from ...errors import Refused


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
