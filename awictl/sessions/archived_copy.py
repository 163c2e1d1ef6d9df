"""Verify a session together with its archived copy, or an archived session alone. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..archive.base import Archived
from ..archive.chunks import Chunk, agent_key
from ..archive.merge import gaps_without, merge, missing
from ..archive.snapshot import Snapshot
from ..archive.trajectory import arranged
from ..document.action_keys import key_of
from ..document.action_numbers import first_ordinal, required_actions
from ..document.history.partial_state import ABSENT
from ..document.history.timeline import Step
from ..document.json_codec import dumps, json_equal
from ..document.schema import as_object, as_text
from ..document.verification.discrepancy import DamageKind, Origin, Verification, first_unequal
from ..document.verification.verify import NO_DIFF, NOTHING_KEPT, verify
from ..util.humanize import plural


def verify_archived(archived: Archived) -> Verification:
    """Verify a session that only the archive has. Raises InvalidData."""
    session_id, snapshot = archived.summary.session_id, archived.snapshot
    if snapshot is None:
        return Verification(notes=[NOTHING_KEPT])
    own = required_actions(snapshot.document)
    steps = _steps(own, archived.first, archived.chunks, snapshot.first_ordinal)
    end = archived.first + len(own)
    found = verify(session_id, snapshot.document, raw=snapshot.raw, steps=_until(steps, end))
    _check_chunks(archived, found)
    _note_later(steps, end, found)
    return found


def verify_with_copy(document: dict[str, Any], raw: bytes, archived: Archived, *, diff: Any = NO_DIFF) -> Verification:
    """Verify a live session, and compare it with its archived copy, which may be an earlier version of it.

    `raw`: its string in Redis, decoded as `document`. Raises InvalidData.
    """
    session_id, snapshot = archived.summary.session_id, archived.snapshot
    if snapshot is None:
        found = verify(session_id, document, raw=raw, diff=diff)
        found.notes.append("the app archived this session, too")
        return found
    agent_id = as_text(document.get("agent_id"))
    if agent_key(snapshot.agent_id) != agent_key(agent_id):
        found = verify(session_id, document, raw=raw, diff=diff)
        text = "is another agent than that of the archived session"
        found.add(DamageKind.ARCHIVE, "/agent_id", snapshot.agent_id, document.get("agent_id", ABSENT), text)
        return found
    own = required_actions(document)
    if raw == snapshot.raw:
        steps = _steps(own, archived.first, archived.chunks, snapshot.first_ordinal)
        end = archived.first + len(own)
        found = verify(session_id, document, raw=raw, diff=diff, steps=_until(steps, end))
        _check_chunks(archived, found)
        _note_later(steps, end, found)
        return found
    return _verify_versions(document, raw, archived, snapshot, diff)


def _verify_versions(
    document: dict[str, Any], raw: bytes, archived: Archived, snapshot: Snapshot, diff: Any
) -> Verification:
    """Verify a live session whose archived copy has other bytes."""
    own, copied = required_actions(document), required_actions(snapshot.document)
    first, end = first_ordinal(document), archived.first + len(copied)
    chunks: Sequence[Chunk] = archived.chunks
    unequal: list[tuple[int, Any, Any]] = []
    continues = first == archived.first and len(own) >= len(copied) and dumps(own[: len(copied)]) == dumps(copied)
    if not continues:
        merged = merge(own, first, Chunk(archived.first, copied), archived.chunks)
        first, chunks = merged.first, [*archived.chunks, *merged.chunks]
        unequal = [
            (ordinal, copied[ordinal - archived.first], own[ordinal - first])
            for ordinal in range(max(first, archived.first), min(first + len(own), end))
            if key_of(own[ordinal - first]) != key_of(copied[ordinal - archived.first])
        ]
    is_behind = end > first + len(own)
    origin = None
    if not unequal and not is_behind:
        origin = Origin(snapshot.document, end - 1)
    steps = _steps(own, first, chunks, first_ordinal(document))
    until = _until(steps, first + len(own))
    found = verify(archived.summary.session_id, document, raw=raw, diff=diff, steps=until, origin=origin)
    for ordinal, expected, there in unequal:
        _add_unequal(ordinal, ordinal - first, expected, there, found)
    if is_behind:
        number = end - first - len(own)
        text = (
            f"The archived copy has {number} later action{'s' if number > 1 else ''}, from number {first + len(own)} on"
        )
        found.add(DamageKind.ARCHIVE, "/history/actions", len(copied), len(own), text)
    elif end == first + len(own) and not unequal:
        _compare_histories(document, snapshot.document, found)
    _check_chunks(archived, found, [Chunk(first, own)])
    return found


def _steps(own: Sequence[Any], first: int, chunks: Sequence[Chunk], expected: int) -> list[Step] | None:
    """The whole trajectory; None if it is simply that of the document."""
    return arranged(own, first, chunks) if chunks or first != expected else None


def _until(steps: list[Step] | None, end: int) -> list[Step] | None:
    """The actions up to the last one of a document: the archive may have later ones, which were trimmed since."""
    return [one for one in steps if one.ordinal < end] if steps is not None else None


def _add_unequal(ordinal: int, index: int, expected: Any, there: Any, found: Verification) -> None:
    """Add a difference between a live action and the archived one of the same ordinal."""
    place = f"/history/actions/{index}"
    pointer, wanted, mine = first_unequal(expected, there, place)
    text = "is not as in the archived copy"
    if pointer == place:
        text = "is not the action that the archived copy has there: another writer overwrote that one, or it is damaged"
    found.add(DamageKind.ARCHIVE, pointer, wanted, mine, text, Step(ordinal, there))


def _compare_histories(document: dict[str, Any], copy: dict[str, Any], found: Verification) -> None:
    """Compare what two documents with the same actions have beside them."""
    mine, its = as_object(document.get("history")), as_object(copy.get("history"))
    known = {one.pointer for one in found.differences}
    for name in {**its, **mine}:
        pointer = f"/history/{name}"
        values = its.get(name, ABSENT), mine.get(name, ABSENT)
        if name != "actions" and not any(one.startswith(pointer) for one in known) and not json_equal(*values):
            found.add(DamageKind.ARCHIVE, pointer, *values, "is not as in the archived copy")


def _check_chunks(archived: Archived, found: Verification, own: Sequence[Chunk] = ()) -> None:
    """Check that the archive has all earlier actions that it does not know to be missing. own: what the session has."""
    known = [Chunk(one.first, range(one.first, one.last + 1)) for one in archived.summary.gaps if one.last is not None]
    lacking = gaps_without(missing(range(archived.first), [*archived.chunks, *own]), known)
    if number := sum(one.size or 0 for one in lacking):
        text = (
            f"The archive lacks {plural(number, 'earlier action')} that it once had, from number {lacking[0].first} "
            "on: deleted, or damaged"
        )
        found.add(DamageKind.ARCHIVE, "", ABSENT, ABSENT, text)


def _note_later(steps: Sequence[Step] | None, end: int, found: Verification) -> None:
    """Note actions that were archived, and that are later than the document."""
    if later := [one for one in steps or () if one.ordinal >= end and not one.overwritten]:
        number = plural(len(later), "later action")
        found.notes.append(f"{number} that the archive has were trimmed after this version; its state is from before")
