"""The paths of the web inspector, as its application has them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

from starlette.routing import Route

from awictl import Settings
from awictl.ui.app import create_app
from awictl.ui.inspector import Inspector
from awictl.ui.offline.bundle import STATIC
from awictl.ui.options import InspectorOptions


def routes() -> list[Route]:
    """All routes but that of the static files."""
    found = [one for one in create_app(Inspector(Settings(), InspectorOptions())).routes if isinstance(one, Route)]
    return [one for one in found if not one.path.startswith("/static/")]


def paths(value: str = "x") -> list[str]:
    """The path of each route, with this value for its parameters."""
    return [re.sub(r"\{[^}]+\}", quote(value, safe=""), one.path) for one in routes()]


def static_files() -> list[str]:
    """The path of each static file."""
    files = [Path(one) for one in STATIC.rglob("*") if one.is_file()]
    return sorted(f"/static/{one.relative_to(STATIC).as_posix()}" for one in files)
