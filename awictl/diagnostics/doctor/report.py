"""Results of health checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """Result of a check, from best to worst."""

    PASS = "pass"  # noqa: S105  # not a password
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    status: Status
    #: What was found, in one sentence.
    evidence: str
    #: What the operator should do; empty if nothing.
    remedy: str = ""
    #: Some of the keys that the check is about.
    examples: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Return the check as JSON-compatible data."""
        return {"check": self.name, **{key: value for key, value in vars(self).items() if key != "name"}}


def passed(name: str, evidence: str) -> Check:
    """Return a check that found no problem."""
    return Check(name, Status.PASS, evidence)


def warned(name: str, evidence: str, remedy: str, examples: list[str] | None = None) -> Check:
    """Return a check that found a risk."""
    return Check(name, Status.WARN, evidence, remedy, examples or [])


def failed(name: str, evidence: str, remedy: str, examples: list[str] | None = None) -> Check:
    """Return a check that found something broken, or data about to be lost."""
    return Check(name, Status.FAIL, evidence, remedy, examples or [])


def not_permitted(name: str, command: str, remedy: str = "") -> Check:
    """Return a check that could not run because the server denies `command` to this user."""
    return Check(
        name,
        Status.WARN,
        f"not permitted: {command}",
        remedy or f"check this in your provider's console, or allow {command}",
    )


@dataclass(frozen=True)
class Report:
    """The results of all checks."""

    checks: list[Check]

    @property
    def status(self) -> Status:
        """The status of the worst check."""
        return max((check.status for check in self.checks), key=list(Status).index, default=Status.PASS)
