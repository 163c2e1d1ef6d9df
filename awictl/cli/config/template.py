"""The config.toml that `awictl config init` writes."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from ...settings import Settings
from ...util.setting import Setting

_HEAD = """\
# Settings of awictl. If one is given in several places, the first of these counts:
# option, environment, .env in the working directory, profile, default.

# The profile to use unless --profile or AWI_PROFILE names another one.
# default_profile = "production"

# A profile takes every setting. A URL of the Redis server stands for host, port, user, database and TLS.
# [profiles.production]
# redis_url = "rediss://awi-reader@redis.example.com:6380/0"
# mongodb_uri = "mongodb://awi-reader@mongo.example.com/awi?tls=true"
# read_only = true
# [profiles.ha]
# redis_url = "redis+sentinel://sentinel1.example.com:26379,sentinel2.example.com:26379/mymaster/0"
# [profiles.cluster]
# redis_url = "redis+cluster://node1.example.com:6379,node2.example.com:6379"

# All settings with their defaults; for those without one, an example stands in quotes.
# [profiles.example]
"""
#: Values for settings that have no default.
_EXAMPLES = {
    "redis_socket": "/run/redis/redis.sock",
    "redis_username": "awi",
    "redis_password": "secret",
    "redis_tls_ca_certs": "/etc/ssl/redis-ca.pem",
    "redis_tls_cert": "/etc/ssl/awi.pem",
    "redis_tls_key": "/etc/ssl/private/awi.key",
    "redis_sentinels": "",  # an address would contradict redis_socket; the head has an example
    "redis_sentinel_username": "awi",
    "redis_sentinel_password": "secret",
    "cache_redis_url": "redis://cache.example.com/0",
    "media_redis_url": "redis://media.example.com/0",
    "mongodb_uri": "mongodb://mongo.example.com/awi",
    "archive_url": "sqlite:////var/lib/awi/archive.db",
    "embedded_dir": "~/awictl",
}


def config_template() -> str:
    """The text of the file: comments that become valid TOML without their `# `."""
    lines = [_HEAD]
    for one in fields(Settings):
        if one.metadata:
            setting: Setting = one.metadata["setting"]
            value = _EXAMPLES.get(one.name, "") if one.default is None else one.default
            lines.append(f"#\n#   {setting.help}\n# {setting.env.lower()} = {_toml(value)}\n")
    return "".join(lines)


def _toml(value: Any) -> str:
    """A value in TOML, which writes booleans, numbers and simple strings as JSON does."""
    return json.dumps(value)
