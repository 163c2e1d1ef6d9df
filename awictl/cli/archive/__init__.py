"""`awictl archive`: where ended sessions are kept."""

from . import changing, reading  # they register their commands
from .group import app

__all__ = ["app", "changing", "reading"]
