"""What Prometheus is told: how many requests there are, of which kind, and how long they take. Never who made them."""

from __future__ import annotations

import os
from functools import cached_property

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector

from .._version import __version__

#: The folder in which several workers share their counts, as the client library wants it.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
#: Upper bounds of the durations that are told apart, in seconds.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one worker; those of all of them where they share a folder."""

    content_type = CONTENT_TYPE_LATEST.encode()

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._shared = SHARED_FOLDER in os.environ
        if not self._shared:
            ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "awictl_http_requests",
            "Requests answered, by method, route and status.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "awictl_http_request_duration_seconds",
            "Time from the arrival of a request to its answer, by route.",
            ["route"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "awictl_http_requests_in_flight",
            "Requests that are being answered.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self.not_archived = Counter(
            "awictl_sessions_ended_unarchived",
            "Sessions that agents ended and that could not be archived at once.",
            registry=self._registry,
        )
        Gauge(
            "awictl_build_info",
            "The version that is running.",
            ["version"],
            registry=self._registry,
            multiprocess_mode="mostrecent",
        ).labels(__version__).set(1)

    @cached_property
    def _collected(self) -> CollectorRegistry:
        if not self._shared:
            return self._registry
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
        return everybody

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._collected)
