"""What checks say."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a check turned out, the worst last."""

    PASS = "pass"  # noqa: S105  # not one that opens anything
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: Status
    #: What was found, in a sentence.
    evidence: str
    #: What to do about it; empty where nothing need be done.
    remedy: str = ""
    #: Some of the keys that it is about.
    examples: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """The same as plain data."""
        return {"check": self.name, **{key: value for key, value in vars(self).items() if key != "name"}}


def passed(name: str, evidence: str) -> Check:
    """A check that found nothing to do."""
    return Check(name, Status.PASS, evidence)


def warned(name: str, evidence: str, remedy: str, examples: list[str] | None = None) -> Check:
    """A check that found something to look after."""
    return Check(name, Status.WARN, evidence, remedy, examples or [])


def failed(name: str, evidence: str, remedy: str, examples: list[str] | None = None) -> Check:
    """A check that found something broken, or about to be."""
    return Check(name, Status.FAIL, evidence, remedy, examples or [])


def not_permitted(name: str, command: str, remedy: str = "") -> Check:
    """A check that could not be made, since the server does not tell this user."""
    return Check(
        name,
        Status.WARN,
        f"not permitted: {command}",
        remedy or f"look at it in your provider's console, or allow {command}",
    )


@dataclass(frozen=True)
class Report:
    """All checks."""

    checks: list[Check]

    @property
    def status(self) -> Status:
        """That of the worst check."""
        return max((one.status for one in self.checks), key=list(Status).index, default=Status.PASS)
