"""The decorator that makes a command of a function, and the command as Typer sees it."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from .context import CommandContext
from .execute import Work, execute
from .global_options import CONTEXT_SETTINGS, PANEL, signature_with_globals
from .output import COMMON, Format

#: With `CommandContext` and `Work`, so that one import has all that a command needs.
__all__ = ["AwictlCommand", "CommandContext", "CommandSpec", "Work", "cli_command"]

if TYPE_CHECKING:
    import asyncio

_CONTEXT = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
#: Type of the `command` functions: they get a `CommandContext` and the parsed values, and return the work.
Parse = Callable[..., Work]


class AwictlCommand(TyperCommand):
    """A command whose help lists the global options in a section of their own."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections: arguments, the command's own options, global options."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], PANEL: []}
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                own = "Arguments" if param.param_type_name == "argument" else "Options"
                sections[getattr(param, "rich_help_panel", None) or own].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


@dataclass(frozen=True)
class CommandSpec:
    """A command as its module declares it. Typer's own object is built when the command is needed."""

    parse: Parse
    examples: tuple[str, ...]
    #: All formats that the command prints.
    formats: tuple[Format, ...]
    #: Makes the event loop; None: asyncio's own.
    loop_factory: "Callable[[], asyncio.AbstractEventLoop] | None"
    #: Whether an error is logged instead of printed.
    logs_errors: bool

    def build(self, name: str) -> TyperCommand:
        """The Typer command of that name, with the parameters of `parse` (but the first) and the global options."""
        own = list(inspect.signature(self.parse).parameters.values())[1:]

        def entry(ctx: typer.Context, **values: Any) -> None:
            execute(ctx, self.parse, values, self.formats, self.loop_factory, logs_errors=self.logs_errors)

        entry.__signature__ = signature_with_globals([_CONTEXT, *own], self.formats)  # type: ignore[attr-defined]
        epilog = "\b\nExamples:\n" + "\n".join(f"  {example}" for example in self.examples)
        app = typer.Typer(rich_markup_mode=None, add_completion=False)
        app.command(
            name,
            cls=AwictlCommand,
            help=inspect.getdoc(self.parse),
            epilog=epilog,
            context_settings=CONTEXT_SETTINGS,
        )(entry)
        built = get_command(app)
        assert isinstance(built, TyperCommand)  # noqa: S101  # Typer declares it as a command or a group
        return built


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
