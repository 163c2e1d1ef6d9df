"""awictl: the state that a site keeps for each web agent, as a library and as a command line.

    from awictl import Settings, StateManager

    async with StateManager.open(Settings.load()) as manager:
        document = await manager.initialize_session(agent_id, agent_name, route="/")

Names are loaded when they are first used, so that importing this package imports no database client.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .agents.api_keys import AgentKey, Permission
    from .agents.registry import AgentRegistry, Registered
    from .archive.base import Archived
    from .archive.sweep import Swept
    from .errors import (
        AccessDenied,
        AwiError,
        InvalidData,
        InvalidInput,
        NoSession,
        NotFound,
        OutcomeUnknown,
        RateLimited,
        ReadOnly,
        Refused,
        TooLarge,
        Unreachable,
        UpdateConflict,
    )
    from .query_cache.cache import Cached, QueryCache
    from .query_cache.cache_key import cache_key
    from .query_cache.diagnose import Diagnosis
    from .sessions.end import Ended
    from .sessions.fallback import Found
    from .sessions.get_or_create import Visit
    from .sessions.manager import StateManager
    from .sessions.update import Updated
    from .settings import Settings
    from .store.base import AgentSession, HistoryPage, Listed, Stored

_HOMES = {
    "StateManager": "sessions.manager",
    "Settings": "settings",
    "cache_key": "query_cache.cache_key",
    "AgentKey": "agents.api_keys",
    "AgentRegistry": "agents.registry",
    "AgentSession": "store.base",
    "Archived": "archive.base",
    "Cached": "query_cache.cache",
    "Diagnosis": "query_cache.diagnose",
    "Ended": "sessions.end",
    "Found": "sessions.fallback",
    "HistoryPage": "store.base",
    "Listed": "store.base",
    "Permission": "agents.api_keys",
    "QueryCache": "query_cache.cache",
    "Registered": "agents.registry",
    "Stored": "store.base",
    "Swept": "archive.sweep",
    "Updated": "sessions.update",
    "Visit": "sessions.get_or_create",
}

__all__ = [
    "AccessDenied",
    "AgentKey",
    "AgentRegistry",
    "AgentSession",
    "Archived",
    "AwiError",
    "Cached",
    "Diagnosis",
    "Ended",
    "Found",
    "HistoryPage",
    "InvalidData",
    "InvalidInput",
    "Listed",
    "NoSession",
    "NotFound",
    "OutcomeUnknown",
    "Permission",
    "QueryCache",
    "RateLimited",
    "ReadOnly",
    "Refused",
    "Registered",
    "Settings",
    "StateManager",
    "Stored",
    "Swept",
    "TooLarge",
    "Unreachable",
    "UpdateConflict",
    "Updated",
    "Visit",
    "__version__",
    "cache_key",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'awictl' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)
