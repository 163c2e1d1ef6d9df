"""What a command works with: its settings, its output, and the state manager."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from ...errors import NoSession
from .formats import Format, JqFilter, yaml_document
from .global_options import GlobalOptions
from .output import Output

if TYPE_CHECKING:
    from ...sessions.manager import StateManager
    from ...settings import Settings


class CommandContext:
    """One invocation of a command; the first argument of its functions."""

    def __init__(self, options: GlobalOptions) -> None:
        self.options = options
        #: Whether to fail while Redis is unreachable, whatever the settings say. To be set before they are loaded.
        self.no_fallback = False

    @cached_property
    def settings(self) -> Settings:
        """The settings, loaded on first use. Raises InvalidInput for an invalid one."""
        from ...settings import Settings
        from ...util.urls import with_redis_scheme

        given = {
            "redis_url": self.options.redis and with_redis_scheme(self.options.redis),
            "mongodb_uri": self.options.mongo,
            "archive_url": self.options.archive,
            "embedded": self.options.embedded or None,
            "timeout": self.options.timeout,
            "fallback": False if self.no_fallback else None,
        }
        options = {name: value for name, value in given.items() if value is not None}
        return Settings.load(options, profile=self.options.profile)

    @cached_property
    def out(self) -> Output:
        """Where the command prints. Raises InvalidInput if the format needs a package that is not installed."""
        options = self.options
        jq = JqFilter(options.jq) if options.jq is not None else None
        if options.output is Format.YAML:
            yaml_document(None)
        return Output(options.output, not options.no_color, options.quiet, jq)

    @asynccontextmanager
    async def manager(self) -> AsyncIterator[StateManager]:
        """Open the state manager, and close it afterwards. A missing session is reported with the reason."""
        from ...sessions.manager import StateManager

        async with StateManager.open(self.settings) as manager:
            try:
                yield manager
            except NoSession as error:
                raise await manager.explain_missing(error) from error
