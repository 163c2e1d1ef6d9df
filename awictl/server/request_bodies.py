"""The bodies of requests. The records validate them, and the OpenAPI document is generated from them."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from ..agents.api_keys import Permission
from ..agents.registry import MAX_DESCRIPTION, MAX_NAME
from ..document.keys import OP_ID_PATTERN
from ..document.schema import PROTECTED_FIELDS
from ..errors import InvalidInput
from .options import SITE_FIELDS

T = TypeVar("T")

#: Longest description of what is wrong with a body, in characters: it quotes names from the body.
MAX_MESSAGE = 300


class UpdateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A delta and the action that it belongs to."""

    delta: Annotated[
        dict[str, Any],
        Meta(
            description="merged into the session: objects merge recursively, all other values replace",
            extra_json_schema={"properties": dict.fromkeys((*PROTECTED_FIELDS, *SITE_FIELDS), False)},
        ),
    ]
    action: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="name of the action; by default, the one of the app's names that fits the delta best"),
    ] = None
    input: Any = msgspec.field(default_factory=dict)
    success: bool = True
    observation: Annotated[Any, Meta(description="what the agent observed")] = None
    op_id: Annotated[
        Annotated[str, Meta(pattern=f"^{OP_ID_PATTERN}$")] | None,
        Meta(description="identifies the update, so that it is applied once if it is sent again"),
    ] = None

    def entry(self) -> dict[str, Any]:
        """The fields of the action, without the delta."""
        unnamed = ("delta", "action") if self.action is None else ("delta",)
        return {name: getattr(self, name) for name in self.__struct_fields__ if name not in unnamed}


class RegistrationRequest(msgspec.Struct):
    """A new agent."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME, extra_json_schema={"pattern": "^[ -~]+$"})]
    description: Annotated[str, Meta(max_length=MAX_DESCRIPTION)] | None = None
    permissions: Annotated[list[Permission], Meta(min_length=1)] | None = None
    agentType: Any = None
    framework: Any = None


def validated(body: dict[str, Any], kind: type[T]) -> T:
    """A body as a record. Raises InvalidInput with the path of the first invalid field."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"invalid request body: {error!s:.{MAX_MESSAGE}}") from None
