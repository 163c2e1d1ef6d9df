"""`awictl session`: live sessions."""

from . import changing, following, reading  # they register their commands
from .group import app

__all__ = ["app", "changing", "following", "reading"]
