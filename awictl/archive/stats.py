"""Statistics of archived sessions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ..util.percentile import percentile
from .base import ArchivedSummary
from .decision import ArchivedState

#: Percentiles of the durations: the name in the row, and the share of the sessions.
_PERCENTILES = {"median_ms": 0.5, "p90_ms": 0.9, "max_ms": 1.0}


@dataclass
class ArchiveStats:
    """Counters over archived sessions, which are added one at a time."""

    sessions: int = 0
    #: By state.
    states: Counter[ArchivedState] = field(default_factory=Counter)
    sessions_with_gaps: int = 0
    missing_actions: int = 0
    overwritten_actions: int = 0
    actions: int = 0
    succeeded: int = 0
    failed: int = 0
    #: By day (UTC) of the last activity: numbers of sessions, actions, and failed actions.
    days: dict[str, list[int]] = field(default_factory=dict)
    #: By name of the action.
    action_counts: Counter[str] = field(default_factory=Counter)
    failed_counts: Counter[str] = field(default_factory=Counter)
    #: Duration of each session, in milliseconds.
    durations: list[int] = field(default_factory=list)

    def add(self, summary: ArchivedSummary) -> None:
        """Add a session."""
        self.sessions += 1
        self.states[summary.state] += 1
        self.sessions_with_gaps += bool(summary.gaps)
        self.missing_actions += summary.missing_actions
        self.overwritten_actions += summary.overwritten_actions
        self.actions += summary.total_actions
        self.succeeded += summary.successful_actions
        self.failed += summary.failed_actions
        if summary.last_activity_at is not None:
            day = self.days.setdefault(summary.last_activity_at.date().isoformat(), [0, 0, 0])
            day[0] += 1
            day[1] += summary.total_actions
            day[2] += summary.failed_actions
        for name, counted in summary.action_counts.items():
            self.action_counts[name] += counted.count
            self.failed_counts[name] += counted.failed
        if summary.duration_ms is not None:
            self.durations.append(summary.duration_ms)

    def row(self, most_used: int) -> dict[str, Any]:
        """Return the statistics as JSON values, with the `most_used` most frequent actions.

        The success rate is between 0 and 1; it is None if no action was counted.
        """
        counted = self.succeeded + self.failed
        return {
            "sessions": self.sessions,
            "active": self.states[ArchivedState.LIVE],
            "states": {state.value: self.states[state] for state in ArchivedState},
            "sessions_with_gaps": self.sessions_with_gaps,
            "missing_actions": self.missing_actions,
            "overwritten_actions": self.overwritten_actions,
            "actions": self.actions,
            "successful_actions": self.succeeded,
            "failed_actions": self.failed,
            "success_rate": round(self.succeeded / counted, 4) if counted else None,
            "days": [
                {"day": day, "sessions": sessions, "actions": actions, "failed_actions": failed}
                for day, (sessions, actions, failed) in sorted(self.days.items())
            ],
            "most_used_actions": [
                {"action": name, "count": count, "failed": self.failed_counts[name]}
                for name, count in sorted(self.action_counts.items(), key=lambda one: (-one[1], one[0]))[:most_used]
            ],
            "durations": self._percentiles(),
        }

    def _percentiles(self) -> dict[str, int | None]:
        """Percentiles of the durations, by the nearest-rank method."""
        ordered = sorted(self.durations)
        if not ordered:
            return dict.fromkeys(_PERCENTILES)
        return {name: percentile(ordered, share) for name, share in _PERCENTILES.items()}
