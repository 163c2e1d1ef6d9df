"""Commands and options as Typer sees them: for help, usage errors and completion."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from typer.core import TyperCommand
from typer.main import get_command

from .formats import Format
from .global_options import OUTPUT_HELP, PANEL, GlobalOptions, global_option
from .params import ParameterSpec

if TYPE_CHECKING:
    from .command import CommandSpec

#: For the constructors of commands: `-h` is `--help`.
CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}

_CONTEXT = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
_GLOBALS = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
    for (name, kind), default in zip(GlobalOptions.__annotations__.items(), GlobalOptions(), strict=True)
]


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


def build_command(spec: "CommandSpec", name: str) -> TyperCommand:
    """The Typer command of that name, with the parameters of `spec.parse` (but the first) and the global options."""
    own = list(inspect.signature(spec.parse).parameters.values())[1:]

    def entry(ctx: typer.Context, **values: Any) -> None:
        if code := spec.invoke(ctx.obj or GlobalOptions(), values):
            raise typer.Exit(code)

    entry.__signature__ = signature_with_globals([_CONTEXT, *own], spec.formats)  # type: ignore[attr-defined]
    epilog = "\b\nExamples:\n" + "\n".join(f"  {example}" for example in spec.examples)
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(
        name,
        cls=AwictlCommand,
        help=inspect.getdoc(spec.parse),
        epilog=epilog,
        context_settings=CONTEXT_SETTINGS,
    )(entry)
    built = get_command(app)
    assert isinstance(built, TyperCommand)  # noqa: S101  # Typer declares it as a command or a group
    return built


def signature_with_globals(parameters: list[inspect.Parameter], formats: tuple[Format, ...] = ()) -> inspect.Signature:
    """The signature that Typer reads: `parameters`, all but the first of them keyword-only, and the global options.

    `formats`: those that the help of --output lists; by default all.
    """
    first, *rest = parameters
    own = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in rest]
    return inspect.Signature([first, *map(_for_typer, [*own, *(_listing(one, formats) for one in _GLOBALS)])])


def _for_typer(parameter: inspect.Parameter) -> inspect.Parameter:
    """The parameter, with Typer's declaration of the argument or option in its annotation."""
    match get_args(parameter.annotation):
        case (kind, ParameterSpec() as spec):
            return parameter.replace(annotation=Annotated[kind, spec.for_typer()])
    return parameter


def _listing(parameter: inspect.Parameter, formats: tuple[Format, ...]) -> inspect.Parameter:
    """The parameter; if it is --output, its help lists these formats."""
    if parameter.name != "output" or not formats:
        return parameter
    listing = global_option("--output", "-o", help=OUTPUT_HELP, metavar="|".join(formats))
    return parameter.replace(annotation=Annotated[Format | None, listing])


def with_global_options(function: Callable[..., None]) -> Callable[..., None]:
    """Replace the `**options` of a Typer callback by the global options, for Typer to see."""
    own = [one for one in inspect.signature(function).parameters.values() if one.kind is not one.VAR_KEYWORD]
    function.__signature__ = signature_with_globals(own)  # type: ignore[attr-defined]
    return function


@with_global_options
def remember_options(ctx: typer.Context, **options: Any) -> None:
    """The callback of a group: stores the global options that precede the command in the context."""
    ctx.obj = GlobalOptions(**options).over(ctx.obj or GlobalOptions())
