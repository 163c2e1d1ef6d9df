"""Read `.env` files and `config.toml`, and find the user's folders."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InvalidInput
from .nearest import nearest
from .user_folders import user_config_folder

#: A path at which no file can be: for settings without a `.env`.
NO_FILE = Path(os.devnull) / "none"
#: The keys of `config.toml` itself.
_CONFIG_KEYS = ("default_profile", "profiles")


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a `.env` file, without interpolation; empty if there is no such file.

    A folder of that name is ignored: it is often a virtual environment. A file that another user may have written is
    not read, with a warning: it could name a server of that user. Raises InvalidInput if it cannot be read.
    """
    try:
        if not _is_there(path) or not stat.S_ISREG(path.stat().st_mode):
            return {}
        with path.open("rb") as file:
            if reason := _written_by_others(os.fstat(file.fileno())):
                warn(f"{path.absolute()} is not read: {reason}")
                return {}
            text = file.read().decode()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path}: cannot be read: it is not UTF-8") from None
    from dotenv import dotenv_values

    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name: value for name, value in values.items() if value is not None}


def _is_there(path: Path) -> bool:
    """Whether there is a file or a link. Raises OSError if that cannot be determined, unlike `Path.exists`."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _written_by_others(found: os.stat_result) -> str | None:
    """Why another user (but root) may have written a file; None if none can."""
    if os.name != "posix":
        return None
    if found.st_uid not in (os.getuid(), 0):
        return f"it belongs to another user (uid {found.st_uid}); to use it, `chown` it"
    if found.st_mode & stat.S_IWOTH:
        return "every user may write to it; to use it, `chmod o-w` it"
    return None


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of `config.toml`; empty if there is no such file. Unknown keys are warned about.

    Raises InvalidInput if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            import tomllib

            config = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise InvalidInput(f"{path}: cannot be read: {error}") from None
    warn_unknown(str(path), config, _CONFIG_KEYS)
    return config


def profiles_of(config: dict[str, Any]) -> dict[str, Any]:
    """Return the profiles in the content of `config.toml`, by name; empty if there are none."""
    profiles = config.get("profiles")
    return profiles if isinstance(profiles, dict) else {}


def default_profile_of(config: dict[str, Any], path: Path) -> str | None:
    """Return the name of the default profile; None if there is none. Raises InvalidInput if it is not text."""
    name = config.get("default_profile")
    if name is not None and not isinstance(name, str):
        raise InvalidInput(f"{path}: default_profile is not the name of a profile")
    return name or None


class Profile(NamedTuple):
    """A profile, and where it is from."""

    name: str
    table: Mapping[str, Any]
    path: Path


def read_profile(name: str | Profile | None, path: Path | None = None) -> Profile | None:
    """Return a profile of `config.toml`; if `name` is None the default one, or None if there is none.

    `name` may be a profile that was read before, which is returned.
    `path`: the file, by default the one in the user's config folder. Without HOME there is none; that is warned about.
    Raises InvalidInput if there is no such profile, naming those that exist, or if the file cannot be read.
    """
    if isinstance(name, Profile):
        return name
    try:
        path = path or default_config_file()
    except InvalidInput as error:
        if name is not None:
            raise
        warn(f"{error}; no profile is used")
        return None
    config = read_config(path)
    name = name or default_profile_of(config, path)
    if name is None:
        return None
    table = profiles_of(config).get(name)
    if not isinstance(table, dict):
        known = ", ".join(sorted(profiles_of(config))) or "none"
        raise InvalidInput(f"there is no profile {name!r} in {path} (known: {known})")
    return Profile(name, table, path)


def default_config_file() -> Path:
    """Return the path of `config.toml`, in the user's config folder. Raises InvalidInput without HOME."""
    check_home("XDG_CONFIG_HOME", "config.toml")
    return user_config_folder() / "config.toml"


def check_home(variable: str, what: str) -> None:
    """Raise InvalidInput if neither `variable` nor HOME says where `what` is.

    Python then asks the password database, or takes the root folder: not what the user has in mind.
    """
    if os.name == "posix" and not os.environ.get(variable, "").strip() and not os.environ.get("HOME"):
        names = f"HOME or {variable}" if variable != "HOME" else "HOME"
        raise InvalidInput(f"HOME is not set, so {what} cannot be found; set {names}")


def warn_unknown(source: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Log a warning for each of `names` that is not in `known`."""
    known = set(known)
    for name in names:
        if name not in known:
            warn(f"{source}: there is no setting {name!a}{nearest(name, known)}; it is ignored")


def warn(message: str) -> None:
    """Log a warning. Nothing else here needs `logging`, which takes time to import."""
    import logging

    logging.getLogger("awictl").warning("%s", message)
