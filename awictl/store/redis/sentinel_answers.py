"""What Sentinels answer, and what follows from it: which server is the primary, and until when. Pure, no I/O.

A Sentinel replaces a primary that has not answered it for `down-after-milliseconds`, if `quorum` Sentinels agree and a
majority of them elects it. Each replacement increments the config epoch, so the highest one is the latest; the other
Sentinels learn of it within about two seconds. See https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

#: Seconds for which an answer is good. Shorter than a sensible `down-after-milliseconds`.
LEASE_SECONDS = 0.8
#: Maximum number of other Sentinels that are taken from one answer.
MAX_PEERS = 32
#: The flags of a primary that is about to be replaced, or whose replacement has begun.
_FAILING = {"o_down", "failover_in_progress"}


class Primary(NamedTuple):
    """A server, and the epoch in which it became the primary. Of the same server, too, a later epoch is another one."""

    host: str
    port: int
    epoch: int


class Answer(NamedTuple):
    """What one Sentinel answered."""

    #: When it was asked, in seconds of the asker's clock.
    asked: float
    #: The id of the Sentinel: it may be known under several addresses.
    sentinel: str
    primary: Primary
    #: Whether this Sentinel has promoted the primary and is still reconfiguring the others.
    switching: bool
    #: Whether the replacement of the primary has begun.
    failing: bool
    #: Whether the primary has not answered this Sentinel for so long that it could be replaced during a lease.
    doubted: bool
    #: How many Sentinels have to agree that the primary is down.
    quorum: int
    #: How many other Sentinels there are.
    others: int
    #: The other Sentinels: id, host and port.
    peers: tuple[tuple[str, str, int], ...]


class Verdict(NamedTuple):
    """The primary and until when it may be used, by the asker's clock; or else why none may be used now."""

    primary: Primary | None
    until: float = 0.0
    #: A clause for a message.
    why: str = ""
    #: Whether too few Sentinels answer, so that it may help to ask further ones.
    too_few: bool = False


def question(name: str) -> list[tuple[str, ...]]:
    """The commands that ask a Sentinel about the primary called `name`.

    Their order matters: a promotion between the second and the third must not look like an old address in a new epoch.
    """
    return [
        ("SENTINEL", "MYID"),
        ("SENTINEL", "MASTER", name),
        ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name),
        ("SENTINEL", "SENTINELS", name),
    ]


def parse(replies: Sequence[Any], asked: float) -> Answer:
    """Parse the replies to `question`. Raises ValueError if they are not those of a Sentinel."""
    try:
        my_id, master, address, sentinels = replies
        fields = _fields(master)
        flags = set(fields["flags"].split(","))
        host, port = address[0].decode(), int(address[1])
        down_after = int(fields["down-after-milliseconds"])
        switching = (host, port) != (fields["ip"], int(fields["port"]))
        return Answer(
            asked,
            my_id.decode(),
            Primary(host, port, int(fields["config-epoch"])),
            switching,
            bool(flags & _FAILING) and not switching,
            not switching and ("s_down" in flags or _is_overdue(int(fields["last-ping-sent"]), down_after)),
            int(fields["quorum"]),
            int(fields["num-other-sentinels"]),
            tuple((one["runid"], one["ip"], int(one["port"])) for one in map(_fields, sentinels[:MAX_PEERS])),
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"its answer is not that of a Sentinel ({error!r:.80})") from error


def verdict(answers: Iterable[Answer], now: float) -> Verdict:
    """Which server is the primary, from the last answer under each address.

    Only a majority of all Sentinels decides: a minority that is cut off from the others does not hear of a promotion.
    """
    latest: dict[str, Answer] = {}
    for answer in sorted(answers):
        if now - answer.asked <= LEASE_SECONDS:
            latest[answer.sentinel] = answer
    fresh = list(latest.values())
    total = max((answer.others for answer in fresh), default=0) + 1
    majority = total // 2 + 1
    if len(fresh) < majority:
        why = f"only {len(fresh)} of {total} Sentinels answer, which is no majority" if fresh else "no Sentinel answers"
        return Verdict(None, why=why, too_few=True)
    newest = max((answer.primary.epoch, answer.switching) for answer in fresh)
    counts = Counter(answer.primary for answer in fresh if (answer.primary.epoch, answer.switching) == newest)
    [(primary, count), *rest] = counts.most_common()
    if rest and rest[0][1] == count:
        return Verdict(None, why="the Sentinels disagree about the primary")
    agreeing = [answer for answer in fresh if answer.primary == primary]
    at = f"{primary.host}:{primary.port}"
    if any(answer.failing for answer in agreeing):
        return Verdict(None, why=f"the Sentinels are replacing the primary {at}")
    if sum(answer.doubted for answer in agreeing) >= min(answer.quorum for answer in agreeing):
        return Verdict(None, why=f"the primary {at} does not answer the Sentinels")
    asked = sorted((answer.asked for answer in fresh), reverse=True)
    return Verdict(primary, asked[majority - 1] + LEASE_SECONDS)


def _is_overdue(unanswered_ms: int, down_after_ms: int) -> bool:
    """Whether a primary that has not answered for so long could be replaced before a lease from now ends."""
    return unanswered_ms >= max(down_after_ms - LEASE_SECONDS * 1000, down_after_ms / 2)


def _fields(pairs: Sequence[bytes]) -> dict[str, str]:
    """The fields of a reply that alternates names and values."""
    texts = [one.decode() for one in pairs]
    return dict(zip(texts[::2], texts[1::2], strict=True))
