"""The description of a setting, which a field of `awictl.settings.Settings` carries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any, NamedTuple

from .converters import text


class Setting(NamedTuple):
    """The description of one setting."""

    #: Its name in the environment.
    env: str
    #: One sentence for the documentation.
    help: str
    #: Converts a value of any type; see `awictl.util.converters`.
    convert: Callable[[Any], Any]
    #: Whether the value is a secret, or may contain one.
    secret: bool


def setting(default: Any, env: str, help: str, convert: Callable[[Any], Any] = text, *, secret: bool = False) -> Any:
    """Return a field of a dataclass with this default and description."""
    return field(default=default, metadata={"setting": Setting(env, help, convert, secret)})
