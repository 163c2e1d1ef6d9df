"""Percentiles by the nearest-rank method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

N = TypeVar("N", int, float)


def percentile(ordered: Sequence[N], share: float) -> N:
    """The smallest of these values, in ascending order, that at least a share of them does not exceed.

    `share`: from 0 to 1. There must be a value.
    """
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
