"""The head of a response and its body leave in one write; nothing else is delayed."""

from __future__ import annotations

from types import SimpleNamespace

from awictl.util.http.joined_writes import JoinedWrites


class Transport:
    def __init__(self) -> None:
        self.calls: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def is_closing(self) -> bool:
        return "close" in self.calls

    def close(self) -> None:
        self.calls.append("close")


def joined(*, started: bool = True) -> tuple[JoinedWrites, Transport, SimpleNamespace]:
    transport = Transport()
    cycle = SimpleNamespace(transport=transport, response_started=started)
    return JoinedWrites(cycle), transport, cycle  # type: ignore[arg-type]


def test_head_and_body_are_one_write_and_later_parts_are_written_at_once() -> None:
    writes, transport, _ = joined()
    writes.write(b"head")
    assert transport.calls == []
    writes.write(b"body")
    writes.write(b"more")
    assert transport.calls == [b"headbody", b"more"]
    writes.flush()
    assert transport.calls == [b"headbody", b"more"]


def test_an_interim_response_is_not_held() -> None:
    writes, transport, cycle = joined(started=False)
    writes.write(b"100")
    cycle.response_started = True
    writes.write(b"head")
    writes.write(b"body")
    assert transport.calls == [b"100", b"headbody"]


def test_a_head_without_a_body_is_written_at_the_end() -> None:
    writes, transport, _ = joined()
    writes.write(b"head")
    writes.flush()
    assert transport.calls == [b"head"]
    writes, transport, _ = joined()
    writes.write(b"head")
    writes.close()
    assert transport.calls == [b"head", "close"] and writes.is_closing()
