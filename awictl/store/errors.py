"""Errors of stores, and the messages that stores have in common."""

from __future__ import annotations

from ..errors import HasEnded, InvalidData, NoSession, Refused, Unreachable


def no_session(session_id: str, where: str, archive: str | None = None) -> NoSession:
    """The error for a session that is not in the store at `where` (nor in `archive`, if that was searched too)."""
    missing = f"there is no session {session_id} at {where}: it may have ended or expired"
    return NoSession(
        f"{missing}; {not_in_archive(archive, missing)}" if archive else missing,
        session_id,
        archive_asked=archive is not None,
    )


def not_in_archive(archive: str, missing: str) -> str:
    """The clause that an archive does not have a session either; `missing`: that the store does not have it."""
    return "it is not archived either" if f" {archive}:" in missing else f"it is not in {archive} either"


def has_ended(session_id: str, where: str) -> HasEnded:
    """The error for writing to a session that has ended and waits to be archived."""
    return HasEnded(
        f"{where}: {session_id} has ended and waits to be archived, so nothing was written and it does not expire; "
        f"`awictl archive sweep` archives it"
    )


def already_live(session_id: str, where: str) -> Refused:
    """The error for restoring a session whose id is already live in the store at `where`."""
    return Refused(f"{where}: session {session_id} is live there; nothing was overwritten")


def cannot_save(where: str, text: str) -> Refused:
    """The error for a write to a server that cannot save its data to its disk, and replied with `text`."""
    return Refused(
        f"{where} cannot save its data to its disk, so it rejects writes. Nothing was written: free some space there, "
        f"and check the permissions of its data folder ({text.partition('. ')[0]})"
    )


class ReplyLost(Unreachable):
    """The connection broke after a request was sent, so it is not known whether the server executed it.

    `retryable`: whether an idempotent request may be sent again; not after the full timeout.
    """

    def __init__(self, message: str | None = None, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class ClientClosed(Unreachable):
    """This client was closed, so a retry would not help. Nothing was sent."""


class MalformedReply(ReplyLost):
    """The server sent something that is no reply to the request, so it is not known whether it executed it."""

    exit_code = InvalidData.exit_code

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, retryable=False)
