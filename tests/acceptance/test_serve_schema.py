"""The server conforms to its OpenAPI document: schemathesis generates requests, with all checks enabled."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from support.cli import LIMIT_SECONDS, Cli
from support.mongo import MongoServer
from support.serving import Server, serving
from support.valkey import ValkeyServer

from awictl.server.app import Api
from awictl.server.openapi import document
from awictl.server.options import ServerOptions
from awictl.server.routes import ROUTES
from awictl.settings import Settings

#: The statuses in the document, 404 and 405; any other status is a failure.
DOCUMENTED = {"200", "201", "400", "401", "403", "404", "405", "408", "409", "413", "429", "503"}


def run_schemathesis(server: Server, secret: str, examples: int, folder: Path, *more: str) -> int:
    """The number of generated requests; all responses must conform to the document."""
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{server.url}/openapi.json"]
    command += ["--header", f"X-Agent-API-Key: {secret}", "--checks", "all", "--max-examples", str(examples)]
    command += ["--no-color", "--generation-deterministic", *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr
    found = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert found is not None and found[1] == found[2], done.stdout[-3_000:]
    return int(found[1])


def check(awictl: Cli, examples: int, least: int) -> None:
    user = awictl.having(AWI_ARCHIVE_URL=f"sqlite:///{awictl.home}/archive.db")
    secret = user.ok("agent", "register", "tester", "-o", "raw", "-q").text.strip()
    limits = ("--rate-limit", "0", "--unknown-key-limit", "0", "--register-limit", "0")
    with serving(user, *limits, "--allow-register") as server:
        made = run_schemathesis(server, secret, examples, awictl.home)
        print(f"\n{made:,} generated requests")
        assert made >= least
        counts = httpx.get(f"{server.url}/metrics", timeout=LIMIT_SECONDS).text
        statuses = set(re.findall(r'awictl_http_requests_total\{.*status="(\d+)"', counts))
        assert "200" in statuses and "400" in statuses and statuses <= DOCUMENTED, statuses
        assert "traceback" not in server.log() and secret not in server.log()


def test_the_server_conforms_to_its_description(awictl: Cli) -> None:
    check(awictl, examples=8, least=200)


@pytest.mark.soak
def test_the_server_conforms_to_its_description_for_thousands_of_requests(awictl: Cli) -> None:
    check(awictl, examples=400, least=2_000)


@pytest.mark.soak
def test_the_server_conforms_to_its_description_while_redis_is_away(
    user: Cli, mongo: MongoServer, new_valkey: Callable[..., ValkeyServer]
) -> None:
    redis = new_valkey()
    user = user.having(REDIS_SOCKET=str(redis.socket), MONGODB_URI=mongo.uri)
    secret = user.ok("agent", "register", "tester", "-o", "raw", "-q").text.strip()
    limits = ("--rate-limit", "0", "--unknown-key-limit", "0", "--register-limit", "0")
    with serving(user, *limits, "--allow-register") as server:
        redis.kill()
        # ending a session that Redis may have, but MongoDB does not know, is a 503
        run_schemathesis(server, secret, 40, user.home, "--exclude-checks", "not_a_server_error")
        counts = httpx.get(f"{server.url}/metrics", timeout=LIMIT_SECONDS).text
        statuses = set(re.findall(r'awictl_http_requests_total\{.*status="(\d+)"', counts))
        assert "200" in statuses and statuses <= DOCUMENTED, statuses
        degraded = re.search(r"^awictl_degraded_requests_total (\S+)", counts, re.MULTILINE)
        assert degraded is not None and float(degraded[1]) > 100
        assert "traceback" not in server.log() and secret not in server.log()


def test_the_description_is_complete() -> None:
    """It has every route and no other, and every schema is used."""
    described = document(ServerOptions(), ROUTES)
    assert described["openapi"].startswith("3.1")
    operations = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    served = Api(Settings(), ServerOptions())._endpoints
    assert operations == {(method, path) for path, methods in served.items() for method in methods if method != "HEAD"}
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)))
    assert names == set(described["components"]["schemas"])
    for methods in described["paths"].values():
        for operation in methods.values():
            assert operation["operationId"] and operation["summary"] and operation["responses"]
