"""The command tree for Typer: for help, usage errors and completion, and for what `quick_parse` leaves to it."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.main import get_command

from ..._version import __version__
from ...errors import InvalidInput
from .error_report import report
from .group import LazyGroup
from .typer_command import CONTEXT_SETTINGS, remember_options, with_global_options


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"awictl {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyGroup,
    help="Inspect and manage AWI sessions: the state that a site keeps for each web agent in Redis.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT_SETTINGS,
)


@app.callback(
    epilog="\b\nExamples:\n  awictl demo\n  awictl --embedded session list\n"
    "  awictl --redis redis://redis.example.com session list --idle 20m\n"
    "  awictl session show ID | jq .page_state"
)
@with_global_options
def root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
    **options: Any,
) -> None:
    remember_options(ctx, **options)


def build_root(commands: dict[str, str], load: Callable[[str], Any]) -> LazyGroup:
    """The command tree; its branches are not imported yet. `commands`: their names and help; `load` imports one."""
    group = get_command(app)
    assert isinstance(group, LazyGroup)  # noqa: S101  # `cls` above
    group.set_commands(commands, load, commands)
    return group


def run_with_typer(group: LazyGroup, arguments: list[str]) -> int:
    """Parse `arguments`, and run the command. Returns the exit code."""
    try:
        code = group.main(arguments, prog_name="awictl", standalone_mode=False)
    except typer.TyperException as error:  # a usage error
        return _report_usage(error)
    return code if isinstance(code, int) else 0


#: Click's names of number types, as in "'abc' is not a valid int range".
_NUMBER_TYPES = {
    "int range": "an integer",
    "float range": "a number",
    "integer": "an integer",
    "float": "a number",
}


def _report_usage(error: typer.TyperException) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)
        return 2
    path = getattr(getattr(error, "ctx", None), "command_path", "awictl")
    message = error.format_message().removesuffix(".")
    for name, plain in _NUMBER_TYPES.items():
        message = message.replace(f"is not a valid {name}", f"is not {plain}")
    return report(InvalidInput(f"{message} (see `{path} --help`)"))
