"""The secret of an API key: 32 hex digits that are shown once; only their SHA-256 is stored."""

from __future__ import annotations

import hashlib
import re
import secrets

_PREFIX = "agent_"
#: Matches text that looks like a secret.
_SECRET = re.compile(rf"{_PREFIX}[0-9A-Fa-f]{{8,}}")


def new_secret() -> str:
    """Return a new random secret."""
    return _PREFIX + secrets.token_hex(16)


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret, in hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def mask_secrets(text: str) -> str:
    """Replace everything in a text that looks like a secret."""
    return _SECRET.sub(f"{_PREFIX}********", text) if _PREFIX in text else text
