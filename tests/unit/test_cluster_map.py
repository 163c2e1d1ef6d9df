"""Hash slots, and the map of a Redis Cluster from what its nodes report."""

from __future__ import annotations

import pytest

from awictl.store.redis.cluster_map import ClusterMap, View, merge, parse_view
from awictl.store.redis.cluster_scan import SlotMoves
from awictl.store.redis.slots import command_slot, key_slot

A, B, C = ("10.0.0.1", 6379), ("10.0.0.2", 6379), ("10.0.0.3", 6379)
REPLICA = ("10.0.0.4", 6379)


def view(*lines: str, epoch: int = 9, slots: object = (), asked: tuple[str, int] = A, tls: bool = False) -> View:
    """The view of a node that replies to CLUSTER NODES with these lines."""
    info = f"cluster_state:ok\r\ncluster_slots_pfail:0\r\ncluster_current_epoch:{epoch}\r\n".encode()
    return parse_view([info, "\n".join(lines).encode(), slots], asked, tls=tls)


def line(
    name: str,
    address: tuple[str, int],
    flags: str = "master",
    *slots: str,
    epoch: int = 1,
    of: str = "-",
    more: str = "",
) -> str:
    """A line of CLUSTER NODES."""
    host, port = address
    return " ".join([name, f"{host}:{port}@1{port}{more}", flags, of, "0", "0", str(epoch), "connected", *slots])


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        ("123456789", 0x31C3),  # the check value of CRC16/XMODEM
        ("foo", 12182),
        ("{user1000}.following", key_slot("user1000")),
        ("foo{}{bar}", key_slot(b"foo{}{bar}")),
        ("foo{{bar}}zap", key_slot("{bar")),
        ("foo{bar}{zap}", key_slot("bar")),
        ("é", key_slot("é".encode())),
    ],
)
def test_slot_of_a_key(key: str, slot: int) -> None:
    assert key_slot(key) == slot < 16_384


def test_an_empty_tag_is_part_of_the_key() -> None:
    assert len({key_slot("foo{}{bar}"), key_slot("bar"), key_slot("")}) == 3


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "foo"), "foo"),
        (("MEMORY", "USAGE", b"foo"), "foo"),
        (("EVALSHA", "0" * 40, 2, "foo", "other", "argument"), "foo"),
        (("EVAL", b"return 1", 0, "argument"), None),
        (("PING",), None),
        (("WAIT", 1, 100), None),
        (("DBSIZE",), None),
    ],
)
def test_slot_of_a_command(command: tuple[str, ...], key: str | None) -> None:
    assert command_slot(command) == (key_slot(key) if key is not None else None)


def test_the_claim_with_the_highest_epoch_wins() -> None:
    stale = view(
        line("a", A, "myself,master", "0-8191", epoch=1), line("b", B, "master", "8192-16383", epoch=2), epoch=2
    )
    current = view(
        line("a", A, "master,fail", epoch=1),
        line("r", REPLICA, "master", "0-8191", epoch=3),
        line("b", B, "myself,master", "8192-16383", epoch=2),
        epoch=3,
    )
    for views in ([stale, current], [current, stale]):
        merged = merge(views)
        assert (merged.slots[0], merged.slots[16_383]) == (REPLICA, B) and set(merged.masters) == {REPLICA, B}
        assert merged.epoch == 3 and merged.settled


def test_a_failed_master_is_doubtful_if_it_has_a_replica() -> None:
    nodes = [line("a", A, "master,fail", "0-8191"), line("b", B, "myself,master", "8192-16383", epoch=9)]
    assert not merge([view(*nodes)]).doubtful
    merged = merge([view(*nodes, line("r", REPLICA, "slave", of="a"))])
    assert merged.doubtful == {A} and not merged.settled and merged.others == (REPLICA,)


@pytest.mark.parametrize(("flags", "epoch"), [("master,fail?", 9), ("master", 8)], ids=["suspected", "epoch in use"])
def test_a_map_is_not_settled_while_an_election_is_possible(flags: str, epoch: int) -> None:
    nodes = [line("a", A, flags, "0-8191"), line("b", B, "myself,master", "8192-16383", epoch=epoch)]
    assert not merge([view(*nodes, epoch=9)]).settled


@pytest.mark.parametrize(("masters", "quorum"), [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3)])
def test_quorum(masters: int, quorum: int) -> None:
    names = [line(f"n{i}", (f"10.1.0.{i}", 1), "master", str(i)) for i in range(masters)]
    assert merge([view(*names)]).quorum == quorum


def test_addresses() -> None:
    mine, other = (
        line("a", ("", 6379), "myself,master", "0-1"),
        line("b", B, "master", "2-3", more=",b.example,shard-id=x"),
    )
    assert list(view(mine, other).nodes["a"].address) == list(A), "a node that does not know its own address"
    assert view(mine, other).nodes["b"].address == B
    assert view(mine, other, tls=True).nodes["b"].address == ("b.example", 6379), "certificates contain names"
    preferred = [[2, 3, [b"b.internal", 6379, b"b"]], [0, 1, [None, 6379, b"a"]]]
    found = view(mine, other, slots=preferred).nodes
    assert found["b"].address == ("b.internal", 6379) and found["a"].address == A


def test_ipv6_and_unknown_nodes() -> None:
    nodes = view(
        line("a", ("fd00::1", 7000), "myself,master", "0-5", "7"),
        line("x", ("", 0), "noaddr,master,fail"),
        line("y", B, "handshake"),
    ).nodes
    assert list(nodes) == ["a"] and nodes["a"].address == ("fd00::1", 7000) and nodes["a"].slots == ((0, 5), (7, 7))


def test_without_cluster_nodes() -> None:
    info = b"cluster_state:ok\r\ncluster_current_epoch:4\r\n"
    slots = [[0, 100, [b"10.0.0.1", 6379, b"a"], [b"10.0.0.4", 6379, b"r"]], [101, 16383, [None, 7001, b"b"]]]
    merged = merge([parse_view([info, PermissionError("NOPERM"), slots], B)])
    assert merged.slots[100] == A and merged.slots[101] == ("10.0.0.2", 7001) and merged.others == (REPLICA,)


# -- slots that move during a scan


def cluster(a: str, b: str, *, epochs: tuple[int, int] = (1, 2), moving: str = "") -> ClusterMap:
    """A cluster of two masters with some slots each."""
    return merge(
        [
            view(line("a", A, "myself,master", a, *([f"[{moving}->-b]"] if moving else []), epoch=epochs[0])),
            view(line("b", B, "myself,master", b, epoch=epochs[1]), asked=B),
        ]
    )


def test_nothing_is_scanned_again_if_nothing_moves() -> None:
    moves = SlotMoves(cluster("0-9", "10-19"))
    moves.note(cluster("0-9", "10-19"))
    assert not moves.to_scan_again(1)


def test_a_slot_that_moves_once_is_scanned_again_once() -> None:
    moves = SlotMoves(cluster("0-9", "10-19", moving="9"))
    moves.note(cluster("0-9", "10-19", moving="9"))
    assert moves.to_scan_again(1) == {A, B}, "its keys may be on either"
    moves.note(cluster("0-8", "9-19"))
    assert not moves.to_scan_again(2), "whatever moved in the second pass was found in the first"


def test_slots_that_move_in_every_pass() -> None:
    moves = SlotMoves(cluster("0-9", "10-19"))
    moves.note(cluster("0-8", "9-19"))
    assert B in moves.to_scan_again(1)
    moves.note(cluster("0-9", "10-19"))
    assert A in moves.to_scan_again(2)
    moves.note(cluster("0-8", "9-19"))
    assert B in moves.to_scan_again(3)


def test_a_slot_that_left_and_came_back() -> None:
    moves = SlotMoves(cluster("0-9", "10-19"))
    moves.note(cluster("0-9", "10-19", epochs=(3, 2)))
    assert moves.to_scan_again(1) == {A}


def test_a_master_that_could_not_be_scanned() -> None:
    moves = SlotMoves(cluster("0-9", "10-19"))
    for passes in (1, 2, 3):
        moves.note(cluster("0-9", "10-19"), [A])
        assert moves.to_scan_again(passes) == {A}
    moves.note(cluster("0-9", "10-19"))
    assert not moves.to_scan_again(4)
