"""awictl: the session state of web agents in Redis and MongoDB, as an async library and a command line.

    from awictl import Settings, StateManager

    async with StateManager.open(Settings.load()) as manager:
        document = await manager.initialize_session(agent_id, agent_name, route="/")

Names are imported on first use, so `import awictl` imports no database client.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:  # for type checkers; `tests/unit/test_exports.py` compares it with the table below
    from .agents.api_keys import AgentKey as AgentKey
    from .agents.api_keys import Permission as Permission
    from .agents.registry import AgentRegistry as AgentRegistry
    from .agents.registry import Registered as Registered
    from .archive.base import Archived as Archived
    from .archive.sweep import Swept as Swept
    from .errors import AccessDenied as AccessDenied
    from .errors import AwiError as AwiError
    from .errors import HasEnded as HasEnded
    from .errors import InvalidData as InvalidData
    from .errors import InvalidInput as InvalidInput
    from .errors import NoSession as NoSession
    from .errors import NotFound as NotFound
    from .errors import OutcomeUnknown as OutcomeUnknown
    from .errors import RateLimited as RateLimited
    from .errors import ReadOnly as ReadOnly
    from .errors import Refused as Refused
    from .errors import TooLarge as TooLarge
    from .errors import Unconfirmed as Unconfirmed
    from .errors import Unreachable as Unreachable
    from .errors import UpdateConflict as UpdateConflict
    from .query_cache.cache import Cached as Cached
    from .query_cache.cache import QueryCache as QueryCache
    from .query_cache.cache_key import cache_key as cache_key
    from .query_cache.diagnose import Diagnosis as Diagnosis
    from .sessions.end import Ended as Ended
    from .sessions.find import Found as Found
    from .sessions.get_or_create import Visit as Visit
    from .sessions.manager import StateManager as StateManager
    from .sessions.update import Updated as Updated
    from .settings import Settings as Settings
    from .store.base import AgentSession as AgentSession
    from .store.base import HistoryPage as HistoryPage
    from .store.base import Listed as Listed
    from .store.base import Stored as Stored

#: Where the public names are defined: module → names. The only list of them at run time.
_EXPORTS = {
    "agents.api_keys": ("AgentKey", "Permission"),
    "agents.registry": ("AgentRegistry", "Registered"),
    "archive.base": ("Archived",),
    "archive.sweep": ("Swept",),
    "errors": (
        "AccessDenied",
        "AwiError",
        "HasEnded",
        "InvalidData",
        "InvalidInput",
        "NoSession",
        "NotFound",
        "OutcomeUnknown",
        "RateLimited",
        "ReadOnly",
        "Refused",
        "TooLarge",
        "Unconfirmed",
        "Unreachable",
        "UpdateConflict",
    ),
    "query_cache.cache": ("Cached", "QueryCache"),
    "query_cache.cache_key": ("cache_key",),
    "query_cache.diagnose": ("Diagnosis",),
    "sessions.end": ("Ended",),
    "sessions.find": ("Found",),
    "sessions.get_or_create": ("Visit",),
    "sessions.manager": ("StateManager",),
    "sessions.update": ("Updated",),
    "settings": ("Settings",),
    "store.base": ("AgentSession", "HistoryPage", "Listed", "Stored"),
}
_HOMES = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted([*_HOMES, "__version__"])

if not TYPE_CHECKING:  # a type checker would take every name for one of awictl's

    def __getattr__(name: str) -> Any:
        """Import a public name on first use (PEP 562)."""
        if name not in _HOMES:
            raise AttributeError(f"module 'awictl' has no attribute {name!r}")
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
