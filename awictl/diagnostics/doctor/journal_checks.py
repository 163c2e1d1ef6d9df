"""Checks of the journal, in which sessions go on while Redis is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...document.timestamps import optional_timestamp
from ...errors import AwiError
from ...util.humanize import plural
from .report import Check, failed, passed, warned

if TYPE_CHECKING:
    from ...fallback.journal import Journal, SetAside

#: Number of actions that were set aside, and are named.
_NAMED = 20


async def check_journal(journal: Journal, *, redis_answers: bool) -> list[Check]:
    """Check that what was recorded while Redis was away is in Redis. No check if MongoDB does not answer: others fail.

    `redis_answers`: whether Redis answers now.
    """
    try:
        pending, set_aside = await journal.counts()
        elsewhere = await journal.pending_elsewhere() if pending else []
        aside = await journal.aside(_NAMED) if set_aside else []
    except AwiError:
        return []
    checks = [_pending(pending, elsewhere, journal.where, redis_answers)]
    if set_aside:
        checks.append(_set_aside(set_aside, aside))
    return checks


def _pending(pending: int, elsewhere: list[str], where: str, redis_answers: bool) -> Check:
    if not pending:
        return passed("journal", f"everything that was recorded in {where} while Redis was away is in Redis")
    found = f"{plural(pending, 'session')} went on in {where} while Redis was away, and may not be in Redis yet"
    if not redis_answers:
        remedy = "start Redis again; then they are brought home"
    else:
        remedy = (
            "run `awictl archive sweep`, which brings them home, as do `serve` and `archive sweep --watch` "
            "by themselves"
        )
    if elsewhere:
        found += f"; some of them went on while Redis had another address: {', '.join(elsewhere[:_NAMED])}"
        remedy += (
            "; with another address of Redis, sweep with that address, or bring a session to this one with "
            "`awictl session apply ID '{}'`"
        )
    return warned("journal", found, remedy)


def _set_aside(count: int, aside: list[SetAside]) -> Check:
    reasons = list(dict.fromkeys(one.reason for one in aside))
    found = f"{plural(count, 'action')} recorded while Redis was away cannot be applied to Redis: {'; '.join(reasons)}"
    examples = [f"{one.session_id} {one.op_id} ({optional_timestamp(one.at) or '-'}): {one.reason}" for one in aside]
    remedy = (
        "nothing is lost: the collection awi_journal_aside has each action with its reason; apply what is still wanted "
        "with `awictl session apply`, and delete it there"
    )
    return failed("set aside", found, remedy, examples)
