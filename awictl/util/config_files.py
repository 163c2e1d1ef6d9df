"""Read `.env` files, and profiles from `config.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import InvalidInput


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a `.env` file, without interpolation; empty if there is no such file."""
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path}: cannot be read: it is not UTF-8") from None


def read_profile(profile: str, path: Path) -> dict[str, Any]:
    """Return the table `[profiles.PROFILE]` of a TOML file. Raises InvalidInput, naming the profiles that exist."""
    import tomllib

    try:
        with path.open("rb") as file:
            config = tomllib.load(file)
    except FileNotFoundError:
        config = {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: cannot be read: {error}") from None
    profiles = config.get("profiles")
    if not isinstance(profiles, dict):
        profiles = {}
    table = profiles.get(profile)
    if not isinstance(table, dict):
        known = ", ".join(sorted(profiles)) or "none"
        raise InvalidInput(f"there is no profile {profile!r} in {path} (known: {known})")
    return table
