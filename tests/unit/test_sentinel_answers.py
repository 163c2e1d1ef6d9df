"""Which server is the primary, from what the Sentinels answer."""

from __future__ import annotations

from typing import Any

import pytest

from awictl.store.redis.sentinel_answers import LEASE_SECONDS, Answer, Primary, parse, verdict

OLD, NEW = Primary("10.0.0.1", 6379, 4), Primary("10.0.0.2", 6379, 5)
#: The fields of SENTINEL MASTER that count, as Valkey 9 sends them.
MASTER = {
    "name": "mymaster",
    "ip": "10.0.0.1",
    "port": "6379",
    "flags": "master",
    "last-ping-sent": "0",
    "down-after-milliseconds": "2500",
    "config-epoch": "4",
    "num-other-sentinels": "2",
    "quorum": "2",
}


def replies(address: tuple[str, int] = OLD[:2], **others: str) -> list[Any]:
    """The replies of one Sentinel."""
    fields = MASTER | {name.replace("_", "-"): value for name, value in others.items()}
    flat = [part.encode() for pair in fields.items() for part in pair]
    peer = [b"name", b"b", b"ip", b"10.0.1.2", b"port", b"26379", b"runid", b"b"]
    return [b"a", flat, [address[0].encode(), str(address[1]).encode()], [peer]]


def answer(sentinel: str, primary: Primary = OLD, asked: float = 100.0, **others: Any) -> Answer:
    """An answer of one of three Sentinels, without anything unusual."""
    usual = Answer(asked, sentinel, primary, False, False, False, 2, 2, ())
    return usual._replace(**others)


def test_an_answer_is_parsed() -> None:
    assert parse(replies(), 7.0) == Answer(7.0, "a", OLD, False, False, False, 2, 2, (("b", "10.0.1.2", 26379),))


@pytest.mark.parametrize("flags", ["master,s_down,o_down", "master,failover_in_progress"])
def test_a_failover_that_has_begun(flags: str) -> None:
    assert parse(replies(flags=flags), 7.0).failing
    # the leader has promoted another, and tells the others: then that one is the primary
    after = parse(replies(("10.0.0.2", 6379), flags=flags, config_epoch="5"), 7.0)
    assert after.primary == NEW and after.switching and not after.failing


@pytest.mark.parametrize(
    ("unanswered", "down_after", "doubted"),
    [("1699", "2500", False), ("1700", "2500", True), ("499", "1000", False), ("500", "1000", True)],
)
def test_a_primary_that_could_be_replaced_during_a_lease_is_doubted(
    unanswered: str, down_after: str, doubted: bool
) -> None:
    fields = {"last_ping_sent": unanswered, "down_after_milliseconds": down_after}
    assert parse(replies(**fields), 7.0).doubted is doubted


@pytest.mark.parametrize("bad", [[], [None] * 4, [b"a", [b"flags"], None, []], [b"a", [], [b"h", b"x"], []]])
def test_other_replies_are_rejected(bad: list[Any]) -> None:
    with pytest.raises(ValueError, match="not that of a Sentinel"):
        parse(bad, 7.0)


def test_a_majority_gives_a_lease() -> None:
    given = verdict([answer("a", asked=100.0), answer("b", asked=100.3), answer("c", asked=100.4)], 100.5)
    assert (given.primary, given.until) == (OLD, 100.3 + LEASE_SECONDS)


def test_a_minority_gives_none() -> None:
    alone = verdict([answer("a")], 100.0)
    assert alone.primary is None and alone.too_few and "1 of 3" in alone.why
    # the same Sentinel under two addresses
    assert verdict([answer("a"), answer("a", asked=100.1)], 100.1).too_few
    # and old answers do not count
    assert verdict([answer("a", asked=100.0), answer("b", asked=101.0)], 101.0).too_few


def test_the_latest_epoch_wins_over_the_most_votes() -> None:
    assert verdict([answer("a"), answer("b"), answer("c", NEW)], 100.0).primary == NEW


def test_the_leader_wins_in_the_same_epoch() -> None:
    moved = NEW._replace(epoch=OLD.epoch)
    assert verdict([answer("a"), answer("b"), answer("c", moved, switching=True)], 100.0).primary == moved


def test_contradictions_give_none() -> None:
    other = OLD._replace(host="10.0.0.9")
    assert verdict([answer("a"), answer("b", other)], 100.0).why == "the Sentinels disagree about the primary"


def test_a_failing_primary_is_not_used() -> None:
    assert verdict([answer("a"), answer("b", failing=True), answer("c")], 100.0).primary is None
    assert verdict([answer("a"), answer("b", doubted=True), answer("c", doubted=True)], 100.0).primary is None
    # one alone cannot replace it
    assert verdict([answer("a"), answer("b", doubted=True), answer("c")], 100.0).primary == OLD
    assert verdict([answer("a", failing=True), answer("b", NEW)], 100.0).primary == NEW
