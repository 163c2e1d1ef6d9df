"""What the archive says of many sessions together."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .base import ArchivedSummary

#: Shares of the sessions whose durations are told.
_SHARES = {"median_ms": 0.5, "p90_ms": 0.9, "max_ms": 1.0}


@dataclass
class ArchiveStats:
    """Counts over archived sessions, to which they are added one after the other."""

    sessions: int = 0
    active: int = 0
    actions: int = 0
    succeeded: int = 0
    failed: int = 0
    #: By the day (UTC) of their last activity: sessions, actions, and failed actions.
    days: dict[str, list[int]] = field(default_factory=dict)
    action_counts: Counter[str] = field(default_factory=Counter)
    failed_counts: Counter[str] = field(default_factory=Counter)
    durations: list[int] = field(default_factory=list)

    def add(self, summary: ArchivedSummary) -> None:
        """Count a session."""
        self.sessions += 1
        self.active += summary.active
        self.actions += summary.total_actions
        self.succeeded += summary.successful_actions
        self.failed += summary.failed_actions
        if summary.last_activity_at is not None:
            day = self.days.setdefault(summary.last_activity_at.date().isoformat(), [0, 0, 0])
            day[0] += 1
            day[1] += summary.total_actions
            day[2] += summary.failed_actions
        for name, use in summary.action_counts.items():
            self.action_counts[name] += use.count
            self.failed_counts[name] += use.failed
        if summary.duration_ms is not None:
            self.durations.append(summary.duration_ms)

    def row(self, most_used: int) -> dict[str, Any]:
        """The same as plain data, with the `most_used` actions. The success rate is None where nothing was counted."""
        counted = self.succeeded + self.failed
        return {
            "sessions": self.sessions,
            "active": self.active,
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
            "durations": self._durations(),
        }

    def _durations(self) -> dict[str, int | None]:
        ordered = sorted(self.durations)
        if not ordered:
            return dict.fromkeys(_SHARES)
        # the smallest duration that so large a share of the sessions does not exceed
        return {name: ordered[max(0, math.ceil(len(ordered) * share) - 1)] for name, share in _SHARES.items()}
