"""The values that a completion script asks for: `awictl __complete KIND PREFIX [WORDS…]`.

Prints those that start with PREFIX, one per line: within the time limit, or none at all. Never prints an error. WORDS
are the words on the command line so far; their global options select the server. Typer and redis-py are not imported,
because that would take most of the time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...settings import Settings

#: Seconds that a completion may take; with the start of Python, which comes before, about 300 ms.
LIMIT_SECONDS = 0.25
#: Maximum number of values: more are of no use on a screen.
MAX_VALUES = 200

#: Global options that select the server → their names for `Settings.load`.
_SERVER_OPTIONS = {"--redis": "redis_url", "--profile": "profile"}


def main(arguments: Sequence[str]) -> None:
    """Print the values for the arguments of a completion script, and exit."""
    limit = _limit()
    if not limit > 0:
        os._exit(0)
    threading.Thread(target=_exit_after, args=(limit,), daemon=True).start()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        kind, prefix, *words = arguments
        found = "".join(f"{one}\n" for one in values(kind, prefix, words))
        os.write(1, found.encode())  # at once: all of them or none
    finally:
        os._exit(0)


def _limit() -> float:
    try:
        return float(os.environ.get("AWI_COMPLETION_SECONDS") or LIMIT_SECONDS)
    except ValueError:
        return LIMIT_SECONDS


def _exit_after(seconds: float) -> None:
    """End the process, even if it waits for a name server or a frozen file system."""
    time.sleep(min(seconds, 60.0))
    os._exit(0)


def values(kind: str, prefix: str, words: Sequence[str]) -> list[str]:
    """The values of a kind (session, agent, cache, image, profile) that start with `prefix`, sorted.

    At most MAX_VALUES. Raises any exception.
    """
    if kind == "profile":
        from ...util.config_files import default_config_file, profiles_of, read_config

        names = list(profiles_of(read_config(default_config_file())))
    else:
        names = _stored(kind, prefix, _settings(words))
    # an agent that calls itself `--yes` must not become an option
    fit = {one for one in names if one.startswith(prefix) and one.isprintable() and not one.startswith("-")}
    return sorted(fit)[:MAX_VALUES]


def _settings(words: Sequence[str]) -> Settings:
    """The settings that the words on the command line select."""
    from ...settings import Settings
    from ...util.urls import with_redis_scheme

    given: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in _SERVER_OPTIONS:
            given[_SERVER_OPTIONS[name]] = value if equals else next(rest, "")
        elif word == "--embedded":
            given["embedded"] = True
    if given.get("redis_url"):
        given["redis_url"] = with_redis_scheme(given["redis_url"])
    profile = given.pop("profile", None)
    return Settings.load(given, profile=profile)


def _stored(kind: str, prefix: str, settings: Settings) -> list[str]:
    """The names of a kind in the store, without the prefix of their keys."""
    from ...document.keys import PREFIXES, KeyKind, as_session_id
    from ...store.redis.quick_scan import quick_scan

    of = KeyKind(kind)
    url = {KeyKind.CACHE: settings.cache_redis_url, KeyKind.IMAGE: settings.media_redis_url}.get(of)
    if url is not None:
        settings = settings.for_server(url)
    elif not settings.use_redis:
        return []  # pymongo is imported too slowly
    elif settings.embedded:
        from ...store.embedded import embedded_server

        settings = replace(settings, redis_socket=str(embedded_server(settings).socket))  # never started for this
    start = PREFIXES[of]
    names = [name.removeprefix(start.encode()) for name in quick_scan(settings, start + prefix, MAX_VALUES)]
    if of is KeyKind.SESSION:
        return [one for one in map(as_session_id, names) if one is not None]
    return [name.decode("utf-8", "surrogateescape") for name in names]  # not printable if it is not UTF-8
