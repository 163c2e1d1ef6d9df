"""The columns of `awictl top` for each width of the terminal."""

from __future__ import annotations

from awictl.cli.top.columns import GAP, fields_for


def test_columns_fit_and_at_least_one_is_shown() -> None:
    for width in range(10, 301):
        fields = fields_for(width)
        assert fields and sum(wide + GAP for _, wide in fields) <= width - 2


def test_a_wider_terminal_shows_more_columns() -> None:
    shown = [[field.title for field, _ in fields_for(width)] for width in (40, 80, 200)]
    assert shown[0] == ["SESSION"]
    assert shown[1] == ["SESSION", "AGENT", "IDLE", "TTL", "ACT/S", "FAILED"]
    assert shown[2] == ["SESSION", "AGENT", "ROUTE", "IDLE", "TTL", "ACT/S", "ACTIONS", "FAILED", "BYTES", "TOK/STEP"]
