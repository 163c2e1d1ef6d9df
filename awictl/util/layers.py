"""The layers of the settings: options, environment, `.env` and profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import InvalidInput
from .config_files import Profile, warn_unknown
from .nearest import nearest
from .urls import check_archive_url, has_password, parse_redis_url

#: The options of the command line that give a setting another name.
OPTIONS = {"mongodb_uri": "--mongo", "archive_url": "--archive"}
#: Variables that start like a setting but are none: of awictl itself, and of the app.
_NOT_SETTINGS = ("AWI_PROFILE", "AWI_COMPLETION_SECONDS")


class Layer(NamedTuple):
    """The settings of one source."""

    source: str
    #: The settings given by name: field name → value.
    named: dict[str, Any]
    #: The settings that its Redis URL contains: field name → value.
    url: dict[str, Any]

    def merged(self) -> dict[str, Any]:
        """All settings; the URL has precedence.

        A URL of one server does not revoke that REDIS_CLUSTER or REDIS_SENTINELS next to it say more.
        """
        more = {name for name in ("redis_cluster", "redis_sentinels") if name in self.named and not self.url.get(name)}
        return self.named | self.url | {name: self.named[name] for name in more}


def options_layer(options: dict[str, Any], variables: Mapping[str, str]) -> Layer:
    """Return the settings in options. `variables`: field name → name in the environment. Raises InvalidInput."""
    url = options.pop("redis_url", None)
    found = parse_redis_url(url, "--redis") if url is not None else {}
    if found.keys() & {"redis_password", "redis_sentinel_password"}:
        raise _password_in_arguments("--redis", "REDIS_PASSWORD, REDIS_URL")
    for name, option in OPTIONS.items():
        if name in options and has_password(check_archive_url(options[name], option)):
            raise _password_in_arguments(option, variables[name])
    return Layer("option", options, found)


def _password_in_arguments(option: str, instead: str) -> InvalidInput:
    return InvalidInput(
        f"{option}: a password on the command line can be read by every user of this machine; "
        f"give it in {instead}, .env or a profile instead"
    )


def variables_layer(source: str, variables: Mapping[str, str], by_env: Mapping[str, str]) -> Layer:
    """Return the settings in environment variables; empty ones count as not set. Warns about unknown ones.

    `by_env`: name in the environment → field name.
    """
    warn_unknown(
        source,
        [name for name, value in variables.items() if name.startswith("AWI_") and value],
        (*by_env, *_NOT_SETTINGS),
    )
    url = variables.get("REDIS_URL")
    named = {name: variables[env] for env, name in by_env.items() if variables.get(env)}
    return Layer(source, named, parse_redis_url(url, "REDIS_URL") if url else {})


def profile_layer(profile: Profile, by_env: Mapping[str, str]) -> Layer:
    """Return the settings of a profile, which may use the names of fields or, in lower case, of the environment.

    An unknown name is an error here: to ignore a mistyped `redis_host` or `read_only` would select another server, or
    permit writes.
    """
    values = dict(profile.table)
    where = f"{profile.path}, profile {profile.name}"
    url = values.pop("redis_url", None)
    if url is not None and not isinstance(url, str):
        raise InvalidInput(f"{where}: redis_url is not text")
    names = {env.lower(): name for env, name in by_env.items()} | {name: name for name in by_env.values()}
    for key in values:
        if key not in names:
            raise InvalidInput(f"{where}: there is no setting {key!r}{nearest(key, names)}")
    named = {names[key]: value for key, value in values.items()}
    return Layer(
        f"profile {profile.name}", named, parse_redis_url(url, f"{where}: redis_url") if url is not None else {}
    )
