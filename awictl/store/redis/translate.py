"""What went wrong with a request, as errors of awictl: what happened, where, and what to do."""

from __future__ import annotations

from ...errors import AccessDenied, AwiError, InvalidData, Refused, Unreachable
from ..errors import ClientClosed, MalformedReply, ReplyLost, cannot_save
from .replies import ErrorReply, Lost, NotAReply, ReplyTooLarge

#: What to check if a server has never replied, by the scheme of its URL.
_HINTS = {
    "redis": "; if that goes on, check whether it expects TLS (rediss://)",
    "rediss": "; if that goes on, check whether it has TLS on this port, and requires a client certificate "
    "(REDIS_TLS_CERT, REDIS_TLS_KEY)",
}

#: What Redis 6.2 and 7.0 say about a command in a script that the user may not use, or on another key. Others: NOPERM.
_SCRIPT_MAY_NOT = "The user executing the script can't "


def of_lost(lost: Lost, where: str, answered: bool, *, streaming: bool = False) -> AwiError:
    """The error for a request without a reply. `answered`: whether the server has ever replied."""
    if lost.closed:
        return ClientClosed(f"cannot reach Redis at {where}: {lost.reason}")
    cause = lost.__cause__
    if isinstance(cause, ReplyTooLarge):
        return MalformedReply(
            f"{where} does not behave like a Redis server: {cause}; check the address (`awictl config show`)"
        )
    if isinstance(cause, NotAReply) and not answered:
        return not_redis(where, str(cause))
    if isinstance(cause, OSError) and (advice := _advice_for_tls(cause)) is not None:
        text = f"cannot reach Redis at {where}: {lost.reason}; {advice}"
        return ReplyLost(text, retryable=True) if lost.sent else Unreachable(text)
    if not lost.sent:
        return Unreachable(
            f"cannot reach Redis at {where}: {lost.reason}; check that it is running and that the address is right "
            f"(`awictl config show`){_hint(where, answered) if _was_accepted(cause) else ''}"
        )
    if streaming:
        return Unreachable(f"{where} closed the connection: {lost.reason}")
    hint = _hint(where, answered)
    text = f"{where} closed the connection before it replied: {lost.reason}{hint}"
    return ReplyLost(text, retryable=not lost.timed_out)


def _hint(where: str, answered: bool) -> str:
    return "" if answered else _HINTS.get(where.partition("://")[0], "")


def _was_accepted(cause: BaseException | None) -> bool:
    """Whether a server accepted the connection before that failed, as one does that expects TLS, or has none."""
    return cause is None or isinstance(cause, ConnectionResetError | TimeoutError)


def _advice_for_tls(error: OSError) -> str | None:
    import ssl

    if not isinstance(error, ssl.SSLError):
        return None
    from .tls import remedy

    return remedy(error)


def of_error(error: Exception, where: str, key: str | None = None) -> AwiError:
    """The error for an error reply. `key`: the key that it concerns."""
    if isinstance(error, AwiError):
        return error
    at = f"{where}, key {key}" if key else where
    text = str(error).strip()
    if not isinstance(error, ErrorReply):
        return AwiError(f"{at}: {text}")
    code, said = error.code, text.removeprefix("ERR ")
    if code in ("NOAUTH", "WRONGPASS") or "invalid password" in text or "AUTH <password> called" in text:
        return AccessDenied(
            f"{where} rejected the user name or password: check REDIS_USERNAME and REDIS_PASSWORD ({said})"
        )
    if _SCRIPT_MAY_NOT in text:
        return AccessDenied(f"{at}: this user has no permission for what a script of awictl does: {said}")
    if code == "NOPERM" or "ACL failure" in text:
        return AccessDenied(f"{at}: this user has no permission: {said.removeprefix('NOPERM ')}")
    if code == "READONLY":
        return Refused(f"{where} is a read-only replica: connect to its primary")
    if code in ("MOVED", "ASK") and not where.partition("://")[0].endswith("+cluster"):
        return Refused(
            f"{where} is a node of a Redis Cluster, and another node has this key: set REDIS_CLUSTER=true, or use "
            "redis+cluster://HOST:PORT,HOST:PORT"
        )
    if code == "OOM":
        return Refused(f"{where} is out of memory and rejects writes. Nothing was written")
    if code == "LOADING":
        return Unreachable(f"{where} is still loading its data; try again later")
    if code in ("MASTERDOWN", "CLUSTERDOWN"):
        return Unreachable(f"{where} is not in service: {said}; try again later")
    if code == "MISCONF":
        return cannot_save(where, text)
    if code == "WRONGTYPE":
        return InvalidData(f"{at} is not a string; check it with `TYPE {key}` in redis-cli")
    return Refused(f"{at}: {said}")


def not_redis(where: str, text: str) -> Refused:
    """The error for a server whose first reply is not of the Redis protocol: a retry would not help."""
    sent = "it seems to expect TLS (rediss://, or REDIS_TLS=true)" if '"\\x15"' in text else f"it replied: {text}"
    return Refused(f"{where} is not a Redis server: {sent}; check the address (`awictl config show`)")
