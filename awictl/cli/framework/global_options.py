"""The options that every command accepts, before and after its name."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

import typer

from .output import Format

#: The section of a command's help that lists these options.
PANEL = "Global options"
#: For the constructors of commands: `-h` is `--help`.
CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}

_OUTPUT_HELP = "Output format.  [default: table on a terminal, JSON elsewhere]"


def _option(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=PANEL, show_default=False, **more)


@dataclass(frozen=True)
class GlobalOptions:
    """The values of the global options; None or False if an option was not given."""

    profile: Annotated[
        str | None, _option("--profile", help="Profile in config.toml to use; empty for none.", metavar="NAME")
    ] = None
    redis: Annotated[
        str | None,
        _option("--redis", help="Redis server, without password: redis://HOST:PORT/DB, or HOST:PORT.", metavar="URL"),
    ] = None
    mongo: Annotated[
        str | None,
        _option(
            "--mongo", help="URL of the MongoDB archive, without password: mongodb://HOST/DATABASE.", metavar="URL"
        ),
    ] = None
    archive: Annotated[
        str | None,
        _option("--archive", help="URL of the archive: mongodb://HOST/DATABASE or sqlite:///FILE.", metavar="URL"),
    ] = None
    embedded: Annotated[
        bool, _option("--embedded", help="Use the embedded server, a private Valkey that awictl starts.")
    ] = False
    output: Annotated[Format | None, _option("--output", "-o", help=_OUTPUT_HELP)] = None
    jq: Annotated[
        str | None,
        _option(
            "--jq", help="Print what this jq expression makes of the JSON output; strings are raw.", metavar="EXPR"
        ),
    ] = None
    local: Annotated[bool, _option("--local", help="Print times in the local time zone instead of UTC.")] = False
    timeout: Annotated[
        float | None, _option("--timeout", help="Timeout for a connection or a reply, in seconds.", metavar="SECONDS")
    ] = None
    no_color: Annotated[bool, _option("--no-color", help="Disable colors.")] = False
    quiet: Annotated[bool, _option("--quiet", "-q", help="Print no notices on stderr.")] = False
    verbose: Annotated[bool, _option("--verbose", "-v", help="Print more on stderr, and tracebacks of errors.")] = False

    def over(self, outer: "GlobalOptions") -> "GlobalOptions":
        """These options, with the values of `outer` for those that were not given."""
        given = {
            one.name: value
            for one in fields(self)
            if not ((value := getattr(self, one.name)) is None or value is False)
        }
        return replace(outer, **given)

    @classmethod
    def taken_from(cls, values: dict[str, Any]) -> "GlobalOptions":
        """The global options among the parsed `values` of a command, which are removed from `values`."""
        return cls(**{one.name: values.pop(one.name) for one in fields(cls)})


_GLOBALS = [
    inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=one.type)
    for one in fields(GlobalOptions)
]


def signature_with_globals(parameters: list[inspect.Parameter], formats: tuple[Format, ...] = ()) -> inspect.Signature:
    """The signature that Typer reads: `parameters`, all but the first of them keyword-only, and the global options.

    `formats`: those that the help of --output lists; by default all.
    """
    first, *rest = parameters
    own = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in rest]
    return inspect.Signature([first, *own, *(_listing(one, formats) for one in _GLOBALS)])


def _listing(parameter: inspect.Parameter, formats: tuple[Format, ...]) -> inspect.Parameter:
    """The parameter; if it is --output, its help lists these formats."""
    if parameter.name != "output" or not formats:
        return parameter
    option = _option("--output", "-o", help=_OUTPUT_HELP, metavar="|".join(formats))
    return parameter.replace(annotation=Annotated[Format | None, option])


def with_global_options(function: Callable[..., None]) -> Callable[..., None]:
    """Replace the `**options` of a Typer callback by the global options, for Typer to see."""
    own = [one for one in inspect.signature(function).parameters.values() if one.kind is not one.VAR_KEYWORD]
    function.__signature__ = signature_with_globals(own)  # type: ignore[attr-defined]
    return function


@with_global_options
def remember_options(ctx: typer.Context, **options: Any) -> None:
    """The callback of a group: stores the global options that precede the command in the context."""
    ctx.obj = GlobalOptions(**options).over(ctx.obj or GlobalOptions())
