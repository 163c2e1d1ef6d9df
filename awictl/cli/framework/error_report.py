"""The one place where an error becomes a line on stderr and an exit code."""

import sys

from ...errors import AwiError, InvalidData, InvalidInput
from .escape import printable, printable_lines, without_secrets
from .stdout import discard, is_terminal, settle_output

#: The exit code of a command whose reader closed the pipe (128 + SIGPIPE), and of one that Ctrl-C ended.
CLOSED_PIPE = 141
INTERRUPTED = 130
#: Number of characters of an expression that are shown before an error in it, and from there on.
POINTED_BEFORE, POINTED_AFTER = 40, 30


def report(error: BaseException, *, verbose: bool = False, to_log: bool = False) -> int:
    """Print an error as one line on stderr, with a traceback if `verbose`. Returns the exit code.

    `to_log`: log it instead, in the format of the log.
    """
    if isinstance(error, OSError):
        settle_output()
    if isinstance(error, BrokenPipeError):
        return CLOSED_PIPE
    if isinstance(error, KeyboardInterrupt):
        text, code = ": ".join(["interrupted", *map(str, error.args)]), INTERRUPTED
    elif isinstance(error, AwiError):
        text, code = str(error), error.exit_code
    elif isinstance(error, RecursionError):  # input is nested less deeply
        text, code = "the stored data is nested too deeply for this command", InvalidData.exit_code
    elif isinstance(error, OSError):
        text, code = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1
    else:
        text, code = f"unexpected {type(error).__name__}: {error} (--verbose prints the traceback)", 1
    line = printable(" ".join(text.split()))
    if to_log:
        import logging

        level = logging.INFO if isinstance(error, KeyboardInterrupt) else logging.ERROR
        logging.getLogger("awictl").log(level, "%s", line, exc_info=error if verbose else None)
        return code
    if verbose:
        import traceback

        # indented, so that a message of several lines forges none of awictl's
        _print(printable_lines("".join(traceback.format_exception(error)).rstrip("\n"), "  "))
    _print(f"awictl: {line}")
    expression = getattr(error, "expression", "") if isinstance(error, InvalidInput) else ""
    if expression and sys.stderr is not None and is_terminal(sys.stderr):
        _print("\n".join(_pointed(expression, getattr(error, "position", 0))))
    return code


def _pointed(expression: str, position: int) -> tuple[str, str]:
    """The part of an expression that has an error, and a line with a caret below the place."""
    from .layout import text_width  # only for this

    before = printable(expression[max(0, position - POINTED_BEFORE) : position])
    after = printable(expression[position : position + POINTED_AFTER])
    start = "…" if position > POINTED_BEFORE else ""
    end = "…" if position + POINTED_AFTER < len(expression) else ""
    return f"  {start}{before}{after}{end}", f"  {' ' * text_width(start + before)}^"


def _print(text: str) -> None:
    if sys.stderr is not None:
        try:
            print(without_secrets(text), file=sys.stderr, flush=True)  # noqa: T201
        except OSError:  # nobody can read it
            discard(sys.stderr)
