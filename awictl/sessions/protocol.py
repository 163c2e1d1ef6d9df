"""What is asked of the state manager by those that it makes itself, so that they need not know it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from ..settings import Settings
from ..store.base import HistoryPage, View

T = TypeVar("T")


class Writable(Protocol):
    """What has settings, and may be written to or not."""

    @property
    def settings(self) -> Settings:
        """The settings in use."""

    def check_writable(self) -> None:
        """Raise ReadOnly where the profile is a read-only one."""


class Sessions(Writable, Protocol):
    """The live sessions; see the methods of `StateManager`."""

    def list_sessions_as(self, view: View[T], *, rate: float | None = None) -> AsyncGenerator[Sequence[T], None]:
        """Every live session in batches, each as `view` makes it."""

    async def get_action_history(self, session_id: str, limit: int = 20, offset: int = 0) -> HistoryPage:
        """A page of the trajectory, newest first."""

    async def update_state_with_delta(
        self, session_id: str, delta: Mapping[str, Any], entry: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Merge a delta, and record the action."""
