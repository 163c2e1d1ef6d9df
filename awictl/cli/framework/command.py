"""The decorator that makes a command of a function."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from .context import CommandContext
from .execute import Work, execute
from .global_options import GlobalOptions
from .output import COMMON, Format

#: With `CommandContext` and `Work`, so that one import has all that a command needs.
__all__ = ["CommandContext", "CommandSpec", "Work", "cli_command"]

if TYPE_CHECKING:
    import asyncio

#: Type of the `command` functions: they get a `CommandContext` and the parsed values, and return the work.
Parse = Callable[..., Work]


class CommandSpec(NamedTuple):
    """A command as its module declares it. Typer's own object is built when the command is needed."""

    parse: Parse
    examples: tuple[str, ...]
    #: All formats that the command prints.
    formats: tuple[Format, ...]
    #: Makes the event loop; None: asyncio's own.
    loop_factory: "Callable[[], asyncio.AbstractEventLoop] | None"
    #: Whether an error is logged instead of printed.
    logs_errors: bool

    def invoke(self, outer: GlobalOptions, values: dict[str, Any]) -> int:
        """Run the command with parsed values. Returns the exit code. `outer`: the global options before its name."""
        return execute(outer, self.parse, values, self.formats, self.loop_factory, logs_errors=self.logs_errors)


def cli_command(
    *,
    examples: Iterable[str],
    formats: Iterable[Format] = (),
    common: Iterable[Format] = COMMON,
    loop_factory: "Callable[[], asyncio.AbstractEventLoop] | None" = None,
    logs_errors: bool = False,
) -> Callable[[Parse], CommandSpec]:
    """Declare a function as the command of its module; its docstring is the help.

    The function gets a `CommandContext` first. It parses and validates, and returns the coroutine that does the work.
    `formats`: the formats that the command prints besides the `common` ones; any other is refused before it runs.
    `loop_factory`: makes the event loop on which it runs, instead of asyncio's own. `logs_errors`: write an error to
    the log, instead of printing it.
    """
    wanted = {*common, *formats}
    printed = tuple(one for one in Format if one in wanted)

    def declare(parse: Parse) -> CommandSpec:
        return CommandSpec(parse, tuple(examples), printed, loop_factory, logs_errors)

    return declare
