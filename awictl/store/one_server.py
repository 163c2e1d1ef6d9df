"""Settings for one server of a deployment by itself: a node of a cluster, a primary, or a sentinel."""

from __future__ import annotations

from dataclasses import replace

from ..settings import Settings


def node_settings(settings: Settings, host: str, port: int) -> Settings:
    """Return settings for one server with data."""
    return replace(settings, redis_sentinels=None, redis_cluster=False, redis_host=host, redis_port=port)


def sentinel_settings(settings: Settings, host: str, port: int) -> Settings:
    """Return settings for one sentinel, which has credentials of its own."""
    return replace(
        node_settings(settings, host, port),
        redis_username=settings.redis_sentinel_username,
        redis_password=settings.redis_sentinel_password,
        redis_db=0,
    )
