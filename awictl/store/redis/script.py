"""Lua scripts, and what they are called with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

Argument = bytes | str | int
#: The keys and arguments of one call of a script.
Call = tuple[Sequence[str | bytes], Sequence[Argument]]


class Script:
    """A Lua script in `scripts/`, called by its hash; its source is sent only if the server does not have it cached.

    The file is read at the first call, because most commands use one script or none.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def source(self) -> bytes:
        """The contents of the file."""
        return (Path(__file__).parent / "scripts" / f"{self.name}.lua").read_bytes()

    @cached_property
    def sha(self) -> str:
        """The SHA-1 of the source in hex, as EVALSHA takes it."""
        import hashlib  # not needed by every command

        return hashlib.sha1(self.source, usedforsecurity=False).hexdigest()
