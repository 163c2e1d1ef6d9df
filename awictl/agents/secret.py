"""The secret of an API key: 32 hex digits that are shown once; only their SHA-256 is stored."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any

_PREFIX = "agent_"
#: Matches text that looks like a secret, or a part of one.
_SECRET = re.compile(rf"{_PREFIX}[0-9A-Fa-f]{{8,}}")
#: Matches whole secrets only: something shorter may be the id of an agent.
_WHOLE = re.compile(rf"{_PREFIX}[0-9A-Fa-f]{{32,}}")
_MASKED = f"{_PREFIX}********"


def new_secret() -> str:
    """Return a new random secret."""
    return _PREFIX + secrets.token_hex(16)


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret, in hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def mask_secrets(text: str) -> str:
    """Replace everything in a text that looks like a secret."""
    return _SECRET.sub(_MASKED, text) if _PREFIX in text else text


def mask_whole_secrets(text: str) -> str:
    """Replace everything in a text that has the form of a secret, but nothing shorter."""
    return _WHOLE.sub(_MASKED, text) if _PREFIX in text else text


def masked(value: Any) -> Any:
    """Return a copy of a JSON value in which `mask_secrets` was applied to all texts and names."""
    if isinstance(value, str):
        return mask_secrets(value)
    if isinstance(value, dict):
        return {mask_secrets(name): masked(one) for name, one in value.items()}
    return [masked(one) for one in value] if isinstance(value, list) else value
