"""Tables at any width: ids whole, other cells cut, columns dropped by rank, and rows printed as they are found."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from awictl.cli.archive import view as archive_view
from awictl.cli.framework.layout import Column, cells_of, fitted

LONG_ID = "sess_" + "a" * 64
COLUMNS = [
    Column("SESSION", lambda row: row["id"], narrow="id"),
    Column("AGENT", lambda row: row["agent"], narrow="cut"),
    Column("CURRENT SESSION", lambda row: row["current"], narrow="id", least=15, drop=2),
    Column("EXPIRES IN", lambda row: row["ttl"], right=True, drop=1),
]


def row(**others: str) -> dict[str, str]:
    return {
        "id": "sess_" + "b" * 32,
        "agent": "An agent with a long name " * 4,
        "current": "-",
        "ttl": "29m 59s",
    } | others


def table(rows: list[dict[str, str]], width: int, **options: object) -> list[str]:
    cells = [cells_of(COLUMNS, one) for one in rows]
    layout = fitted(COLUMNS, cells, width, **options)  # type: ignore[arg-type]
    return [*layout.heading(), *(line for one in cells for line in layout.lines(layout.shown(one)))]


@pytest.mark.parametrize("width", [40, 60, 72, 80, 120, 200])
def test_ids_are_whole_and_titles_in_one_line(width: int) -> None:
    lines = table([row(), row(id=LONG_ID), row(current=LONG_ID)], width)
    assert max(map(cell_len, lines)) <= width, lines
    assert "SESSION" in lines[0] and "AGENT" in lines[0] and set(lines[1]) == {"─"}
    assert any(LONG_ID in line for line in lines) or (width < len(LONG_ID) and LONG_ID in "".join(lines))


def test_a_wide_id_has_a_line_of_its_own() -> None:
    lines = table([row(), row(id=LONG_ID, agent="Zoe")], 80)
    assert lines[3] == LONG_ID
    assert lines[4].split() == ["Zoe", "-", "29m", "59s"]
    assert lines[4].index("Zoe") == lines[2].index("An agent")


def test_other_cells_are_cut_with_an_ellipsis() -> None:
    [_, _, line] = table([row()], 80)
    assert "An agent" in line and "…" in line and line.endswith("29m 59s")


def test_columns_are_dropped_by_rank_but_never_the_one_that_is_kept() -> None:
    assert "CURRENT SESSION" not in table([row()], 70)[0] and "EXPIRES IN" in table([row()], 70)[0]
    kept = table([row()], 70, keep="CURRENT SESSION")[0]
    assert "CURRENT SESSION" in kept and "EXPIRES IN" not in kept


def test_a_whole_table_drops_and_cuts_nothing() -> None:
    lines = table([row(id=LONG_ID, current=LONG_ID)], 40, whole=True)
    assert len(lines) == 3 and lines[2].count(LONG_ID) == 2 and "An agent with a long name " * 4 in lines[2]


def test_wide_characters_are_cut_and_padded_by_their_width() -> None:
    lines = table([row(agent="文字幅" * 20), row(agent="é")], 80)
    assert max(map(cell_len, lines)) <= 80
    assert cell_len(lines[2].split("29m")[0]) == cell_len(lines[3].split("29m")[0])


def test_a_later_row_keeps_the_columns() -> None:
    cells = cells_of(COLUMNS, row(agent="Zoe"))
    layout = fitted(COLUMNS, [cells], 100, growing=True)
    later = layout.lines(cells_of(COLUMNS, row(agent="a much longer name than any before", ttl="1d 2h")))
    assert len(later) == 1 and "…" in later[0] and later[0].endswith("  1d 2h")
    assert len(later[0]) == len(layout.lines(cells)[0])
    assert layout.lines(cells_of(COLUMNS, row(id=LONG_ID)))[0] == LONG_ID


def test_a_last_id_gets_the_width_that_is_left() -> None:
    columns = [COLUMNS[3], Column("LARGEST", lambda row: row["id"], narrow="id", least=8)]
    cells = [cells_of(columns, one) for one in (row(id=LONG_ID), row(id="sess_short"))]
    layout = fitted(columns, cells, 60)
    assert layout.lines(cells[1]) == ["   29m 59s  sess_short"]
    assert [line.strip() for line in layout.lines(cells[0])] == ["29m 59s", LONG_ID[:60], LONG_ID[60:]]


@pytest.mark.parametrize(("state", "shape"), [("vanished", "awictl"), ("ended", "app"), ("live", "app")])
def test_the_state_of_an_archived_session_is_shown_on_80_columns(state: str, shape: str) -> None:
    archived = {
        "session_id": "sess_" + "0" * 32,
        "agent_name": "BrowserUseAgent",
        "state": state,
        "shape": shape,
        "last_activity_at": "2026-11-23T07:09:41.741Z",
        "duration_ms": 1,
        "total_actions": 1,
        "failed_actions": 0,
        "route": "/",
        "gaps": [],
    }
    cells = cells_of(archive_view.SESSIONS, archived)
    layout = fitted(archive_view.SESSIONS, [cells], 80, growing=True)
    [line] = layout.lines(layout.shown(cells))
    assert "STATE" in layout.heading()[0] and state in line and (shape in line) is (shape == "app") and len(line) <= 80
