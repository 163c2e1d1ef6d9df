"""The options that every command accepts, before and after its name."""

from typing import Annotated, Any, NamedTuple

from .formats import Format
from .params import ParameterSpec, option

#: The section of a command's help that lists these options.
PANEL = "Global options"
OUTPUT_HELP = "Output format.  [default: table on a terminal, JSON elsewhere]"


def global_option(*names: str, help: str, **more: Any) -> ParameterSpec:
    """Declare an option of the section of global options."""
    return option(*names, help=help, rich_help_panel=PANEL, show_default=False, **more)


class GlobalOptions(NamedTuple):
    """The values of the global options; None or False if an option was not given."""

    profile: Annotated[
        str | None, global_option("--profile", help="Profile in config.toml to use; empty for none.", metavar="NAME")
    ] = None
    redis: Annotated[
        str | None,
        global_option(
            "--redis", help="Redis server, without password: redis://HOST:PORT/DB, or HOST:PORT.", metavar="URL"
        ),
    ] = None
    mongo: Annotated[
        str | None,
        global_option(
            "--mongo",
            help="URL of MongoDB (archive, fallback, live sessions), without password: mongodb://HOST/DATABASE.",
            metavar="URL",
        ),
    ] = None
    archive: Annotated[
        str | None,
        global_option(
            "--archive", help="URL of the archive: mongodb://HOST/DATABASE or sqlite:///FILE.", metavar="URL"
        ),
    ] = None
    embedded: Annotated[
        bool, global_option("--embedded", help="Use the embedded server, a private Valkey that awictl starts.")
    ] = False
    output: Annotated[Format | None, global_option("--output", "-o", help=OUTPUT_HELP)] = None
    jq: Annotated[
        str | None,
        global_option(
            "--jq", help="Print what this jq expression makes of the JSON output; strings are raw.", metavar="EXPR"
        ),
    ] = None
    local: Annotated[bool, global_option("--local", help="Print times in the local time zone instead of UTC.")] = False
    timeout: Annotated[
        float | None,
        global_option("--timeout", help="Timeout for a connection or a reply, in seconds.", metavar="SECONDS"),
    ] = None
    no_color: Annotated[bool, global_option("--no-color", help="Disable colors.")] = False
    quiet: Annotated[bool, global_option("--quiet", "-q", help="Print no notices on stderr.")] = False
    verbose: Annotated[
        bool, global_option("--verbose", "-v", help="Print more on stderr, and tracebacks of errors.")
    ] = False

    def over(self, outer: "GlobalOptions") -> "GlobalOptions":
        """These options, with the values of `outer` for those that were not given."""
        given: dict[str, Any] = {
            name: value for name, value in zip(self._fields, self, strict=True) if not (value is None or value is False)
        }
        return outer._replace(**given)

    @classmethod
    def taken_from(cls, values: dict[str, Any]) -> "GlobalOptions":
        """The global options among the parsed `values` of a command, which are removed from `values`."""
        return cls(**{name: values.pop(name) for name in cls._fields})
