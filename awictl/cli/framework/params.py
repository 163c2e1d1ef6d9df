"""Declarations of arguments and options. Typer's own objects are made of them only if Typer parses the command line."""

from collections.abc import Callable
from typing import Any


class ParameterSpec:
    """An argument or an option, as `typing.Annotated` has it beside its type."""

    __slots__ = ("attributes", "is_argument", "names")

    def __init__(self, is_argument: bool, names: tuple[str, ...], attributes: dict[str, Any]) -> None:
        self.is_argument = is_argument
        self.names = names
        self.attributes = attributes

    def for_typer(self) -> Any:
        """The same for Typer."""
        import typer

        make: Callable[..., Any] = typer.Argument if self.is_argument else typer.Option
        return make(*self.names, **self.attributes)


def argument(**attributes: Any) -> ParameterSpec:
    """Declare an argument. `attributes`: those of `typer.Argument`."""
    return ParameterSpec(True, (), attributes)


def option(*names: str, **attributes: Any) -> ParameterSpec:
    """Declare an option. `names`: such as `--limit` and `-n`. `attributes`: those of `typer.Option`."""
    return ParameterSpec(False, names, attributes)


def bad_parameter(message: str) -> Exception:
    """The usage error for a value that a parser or a callback refuses."""
    import typer

    return typer.BadParameter(message)


class CommandExit(Exception):
    """Ends a command with an exit code, without a message."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
