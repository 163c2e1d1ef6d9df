"""Runs one command from its parsed values to its exit code: the only place that starts an event loop."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ...errors import InvalidInput
from .cells import LOCAL_TIMES
from .context import CommandContext
from .error_report import report
from .exit_after import exit_after
from .global_options import GlobalOptions
from .output import Format
from .params import CommandExit

if TYPE_CHECKING:
    import asyncio

#: What a command returns after it has parsed its arguments: the coroutine that does the work.
Work = Coroutine[Any, Any, None]
#: Seconds after which garbage is collected: most commands end before, and need not.
COLLECT_AFTER_SECONDS = 0.5
#: Seconds after Ctrl-C within which a command has to end by itself.
INTERRUPT_SECONDS = 0.7


def execute(
    outer: GlobalOptions,
    parse: Callable[..., Work],
    values: dict[str, Any],
    formats: tuple[Format, ...],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None,
    *,
    logs_errors: bool = False,
) -> int:
    """Parse `values`, and run the coroutine that `parse` returns. Returns the exit code.

    `outer`: the global options that precede the command.
    """
    import logging  # here, so that a page of help does not wait for it

    from .log_format import configure_logging

    options = GlobalOptions.taken_from(values).over(outer)
    level = logging.ERROR if options.quiet else logging.INFO if options.verbose else logging.WARNING
    configure_logging(sys.stderr, level)
    LOCAL_TIMES.set(options.local)
    try:
        context = CommandContext(options)
        _check_format(context, formats)
        _run(parse(context, **values), loop_factory)
    except CommandExit as error:
        return error.code
    except BaseException as error:
        return report(error, verbose=options.verbose, to_log=logs_errors)
    return 0


def _check_format(context: CommandContext, formats: tuple[Format, ...]) -> None:
    """Raise InvalidInput if the command does not print the chosen format, before it does anything."""
    options = context.options
    if options.output not in (None, *formats):
        raise InvalidInput(f"-o {options.output} is not supported by this command; it prints {', '.join(formats)}")
    if options.jq is not None and options.output not in (None, Format.JSON, Format.JSONL):
        raise InvalidInput(f"--jq filters JSON: it cannot be combined with -o {options.output}")
    context.out.chosen(Format.JSON)  # is made now: a missing package is reported before anything is done


def _run(work: Work, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
    """Run a coroutine on an event loop of its own. Raises KeyboardInterrupt after Ctrl-C.

    Its arguments are those of the CancelledError that ended the coroutine: what an interrupted command wants to report.
    """
    import asyncio
    import signal

    # if SIGINT is ignored, as in the background of a shell, it stays ignored; a loop of another kind handles it itself
    interruptible = loop_factory is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    interruption: KeyboardInterrupt | None = None

    async def main() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        loop.call_later(COLLECT_AFTER_SECONDS, gc.enable)

        def interrupt() -> None:
            nonlocal interruption
            interruption = KeyboardInterrupt()
            loop.remove_signal_handler(signal.SIGINT)  # the next one ends the process at once
            if task is not None:
                task.cancel()

        if interruptible:
            # not the handler of asyncio.Runner: a signal that arrives just as the loop goes to sleep would not wake it
            loop.add_signal_handler(signal.SIGINT, interrupt)
            # called besides, even while a write to a full pipe blocks the loop
            signal.signal(
                signal.SIGINT,
                lambda *_: exit_after(INTERRUPT_SECONDS, lambda: report(interruption or KeyboardInterrupt())),
            )
        try:
            await work
        except asyncio.CancelledError as error:
            if interruption is not None:
                interruption.args = error.args
            raise
        finally:
            if interruptible:
                loop.remove_signal_handler(signal.SIGINT)

    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())
    except asyncio.CancelledError:
        if interruption is not None:
            raise interruption from None
        raise
    finally:
        work.close()  # without effect, unless the loop could not be made
