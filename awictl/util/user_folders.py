"""The folders of the user in which awictl keeps its files: those of platformdirs, whose import takes long."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PLATFORM: str = sys.platform


def user_config_folder() -> Path:
    """The folder of `config.toml`."""
    if found := _on_linux("XDG_CONFIG_HOME", ".config"):
        return found
    import platformdirs

    return platformdirs.user_config_path("awictl")


def user_data_folder() -> Path:
    """The folder of the embedded server."""
    if found := _on_linux("XDG_DATA_HOME", ".local/share"):
        return found
    import platformdirs

    return platformdirs.user_data_path("awictl")


def _on_linux(variable: str, default: str) -> Path | None:
    """The folder by the XDG Base Directory Specification; None if platformdirs has to find it."""
    if _PLATFORM != "linux":
        return None
    folder, home = os.environ.get(variable, ""), os.environ.get("HOME", "")
    if folder.startswith("/"):
        return Path(folder, "awictl")
    return Path(home, default, "awictl") if home.startswith("/") else None
