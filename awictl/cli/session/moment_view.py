"""How moments of a session look: in JSON, in a table, and what is to be said of them on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...document.schema import as_object
from ...util.humanize import fields
from ..framework.cells import moment

if TYPE_CHECKING:
    from ...document.history.timeline import StateAt
    from ...sessions.whole_session import WholeSession


def state_notices(whole: WholeSession, state: StateAt) -> Iterator[str]:
    """What is not known of a state, or does not fit."""
    after = f"after action {state.ordinal} of {whole.session_id}"
    if state.unknown:
        yield f"unknown {after}, {whole.timeline.why_unknown}: {fields(state.unknown)}"
    if state.conflicts:
        yield f"not sure {after}, since the present state does not fit the actions: {fields(state.conflicts)}"


def moment_facts(whole: WholeSession, state: StateAt) -> list[tuple[str, str]]:
    """The moment as labels and values, for a table."""
    action = as_object(state.step.action)
    at = f"action {state.ordinal} of {whole.timeline.last}, {moment(action.get('timestamp'))}"
    return [("as of", at)] + ([("unknown", fields(state.unknown))] if state.unknown else [])


def moment_row(state: StateAt) -> dict[str, Any]:
    """The moment in JSON, without what is unknown."""
    return {name: value for name, value in state.row().items() if name != "unknown"}
