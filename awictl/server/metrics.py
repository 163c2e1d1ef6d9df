"""Prometheus metrics: the number of requests and their duration, by route. Labels never identify an agent."""

from __future__ import annotations

import os
from functools import cached_property

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector

from .._version import __version__
from ..document.token_estimate import BYTES_PER_TOKEN

#: Environment variable of the client library: the folder in which several workers share their metrics.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
#: Upper bounds of the buckets of request durations, in seconds.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one worker; of all workers if they share a folder."""

    content_type = CONTENT_TYPE_LATEST.encode()

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._shared = SHARED_FOLDER in os.environ
        if not self._shared:
            ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "awictl_http_requests",
            "Total number of HTTP requests, by method, route and status.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "awictl_http_request_duration_seconds",
            "Time from receiving a request to sending its response, in seconds, by route.",
            ["route"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "awictl_http_requests_in_flight",
            "Number of HTTP requests that are being processed.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self.tokens = Counter(
            "awictl_estimated_tokens",
            "Estimated total number of tokens of the responses that agents read, by method and route: their size in "
            f"bytes / {BYTES_PER_TOKEN}.",
            ["method", "route"],
            registry=self._registry,
        )
        self.not_archived = Counter(
            "awictl_sessions_ended_unarchived",
            "Total number of sessions that an agent ended and that could not be archived immediately.",
            registry=self._registry,
        )
        self.degraded = Counter(
            "awictl_degraded_requests",
            "Total number of HTTP requests for which MongoDB was used because Redis is unreachable.",
            registry=self._registry,
        )
        self.breaker_state = Gauge(
            "awictl_redis_breaker_state",
            "Which requests are sent to Redis: 0 closed (all), 1 half-open (only probes), 2 open (none).",
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self.journal_pending = Gauge(
            "awictl_journal_pending_sessions",
            "Number of sessions that went on in MongoDB while Redis was away, and may not be in Redis yet.",
            registry=self._registry,
            multiprocess_mode="livemostrecent",
        )
        self.journal_set_aside = Gauge(
            "awictl_journal_set_aside",
            "Number of actions recorded while Redis was away that cannot be applied to Redis; see `awictl doctor`.",
            registry=self._registry,
            multiprocess_mode="livemostrecent",
        )
        Gauge(
            "awictl_build_info",
            "Version of the running server, in the label; the value is always 1.",
            ["version"],
            registry=self._registry,
            multiprocess_mode="mostrecent",
        ).labels(__version__).set(1)

    @cached_property
    def _collected(self) -> CollectorRegistry:
        if not self._shared:
            return self._registry
        all_workers = CollectorRegistry()
        MultiProcessCollector(all_workers)  # type: ignore[no-untyped-call]
        return all_workers

    def text(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self._collected)
