"""TLS with client certificates: real servers that require them, and errors that say what to do. Never without TLS."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import trustme
from support.documents import SESSION_ID
from support.processes import Certificates, Member, await_that, tls_program
from support.proxy import proxied
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.errors import AwiError, InvalidInput, Unreachable
from awictl.store.errors import ReplyLost
from awictl.store.redis.connection import Connection
from awictl.store.redis.replies import Lost
from awictl.store.redis.tls import context

needs_tls = pytest.mark.skipif(tls_program() is None, reason="no server with TLS is installed (Debian: redis-tools)")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def member(files: Certificates) -> Iterator[Member]:
    """A server that is reached with TLS only, and requires a client certificate."""
    server = Member("tls", ["save ''"], tls=files, password="secret")
    try:
        server.launch()
        await_that(server.ready, "it replies")
        yield server
    finally:
        server.stop()


def settings_of(member: Member, files: Certificates, **others: Any) -> Settings:
    given = {"redis_host": member.host, "redis_port": member.port, "redis_password": "secret", "timeout": 5.0}
    return Settings(**(given | files.settings() | others))


async def error_of(settings: Settings) -> AwiError:
    async with StateManager.open(settings) as manager:
        with pytest.raises(AwiError) as raised:
            await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
    assert settings.redis_address in str(raised.value) or isinstance(raised.value, InvalidInput)
    return raised.value


@needs_tls
async def test_a_server_that_requires_a_client_certificate(member: Member, files: Certificates) -> None:
    async with StateManager.open(settings_of(member, files)) as manager:
        await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
        await manager.update_state_with_delta(SESSION_ID, {"n": 1})
        state = await manager.get_session_state(SESSION_ID)
    assert state is not None and state["n"] == 1
    member.raw.flushall()


@needs_tls
async def test_without_a_client_certificate_nothing_is_done_and_the_error_says_so(
    member: Member, files: Certificates, tmp_path: Path
) -> None:
    other = Certificates.make(tmp_path / "other")
    for changed in (
        {"redis_tls_cert": None, "redis_tls_key": None},
        {"redis_tls_cert": str(other.client_cert), "redis_tls_key": str(other.client_key)},
    ):
        error = await error_of(settings_of(member, files, **changed))
        assert "client certificate" in str(error) and "REDIS_TLS_CERT" in str(error)
        assert isinstance(error, Unreachable) and not isinstance(error, ReplyLost), "it is known that nothing was done"
    assert member.raw.dbsize() == 0


@needs_tls
async def test_there_is_no_fallback_to_a_connection_without_tls(member: Member, files: Certificates) -> None:
    error = await error_of(settings_of(member, files, redis_tls=False))
    assert isinstance(error, Unreachable)
    assert "TLS" in str(error)


async def test_a_server_without_tls_is_not_used(valkey: ValkeyServer, files: Certificates) -> None:
    settings = valkey.tcp_settings(timeout=1.0, **files.settings())
    error = await error_of(settings)
    assert isinstance(error, Unreachable)
    assert "rediss://" in str(error) and "TLS" in str(error)
    assert valkey.raw.dbsize() == 0


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required"), False),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca"), False),
        (ssl.SSLError(1, "[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] bad record"), True),
        (ConnectionResetError(104, "Connection reset by peer"), True),
    ],
    ids=str,
)
async def test_a_request_is_not_executed_if_the_server_rejects_the_handshake(error: OSError, sent: bool) -> None:
    """With TLS 1.3 a request is written before the client learns of that. After a reply, nothing is certain."""
    if isinstance(error, ssl.SSLError):
        error.reason = error.args[1].partition("] ")[0].removeprefix("[SSL: ")
    for answered in (False, True):
        connection = Connection("rediss://h:1/0", 5.0, 1024)
        connection.connection_made(Mock())
        future = connection.send([("PING",)])
        await asyncio.sleep(0)
        connection.answered = answered
        connection.connection_lost(error)
        with pytest.raises(Lost) as raised:
            await future
        assert raised.value.sent is (sent or answered)


@pytest.mark.parametrize("required", [True, False], ids=["required", "optional"])
async def test_a_proxy_that_asks_for_a_client_certificate(
    valkey: ValkeyServer, files: Certificates, required: bool
) -> None:
    """The same without a server that has TLS, so that it runs everywhere."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.ca))
    made.load_cert_chain(str(files.cert), str(files.key))
    made.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    async with proxied(valkey, made) as proxy:
        async with StateManager.open(proxy.settings(**files.settings())) as manager:
            await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
        without = proxy.settings(**files.settings() | {"redis_tls_cert": None, "redis_tls_key": None})
        async with StateManager.open(without) as manager:
            if required:
                with pytest.raises(Unreachable, match=r"client certificate.*REDIS_TLS_CERT"):
                    await manager.get_session_state(SESSION_ID)
            else:
                assert await manager.get_session_state(SESSION_ID) is not None


@pytest.mark.parametrize(
    ("certificate", "remedy"),
    [
        ("unknown authority", "set REDIS_TLS_CA_CERTS to the PEM file"),
        ("other host", "use the host name that is in its certificate"),
        ("expired", "renew the server's certificate"),
    ],
)
async def test_what_to_do_about_a_certificate_that_is_not_trusted(
    valkey: ValkeyServer, tmp_path: Path, certificate: str, remedy: str
) -> None:
    from datetime import UTC, datetime

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issuer = trustme.CA() if certificate == "unknown authority" else authority
    expires = datetime(2001, 1, 1, tzinfo=UTC) if certificate == "expired" else None
    name = "redis.example.com" if certificate == "other host" else "127.0.0.1"
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert(name, not_before=datetime(2000, 1, 1, tzinfo=UTC), not_after=expires).configure_cert(server)
    async with proxied(valkey, server) as proxy:
        settings = proxy.settings(redis_tls=True, redis_tls_ca_certs=str(tmp_path / "ca.pem"))
        error = await error_of(settings)
        assert isinstance(error, Unreachable) and re.search(f"not trusted: .*; {remedy}", str(error)), error
        assert proxy.round_trips == 0


def test_files_that_cannot_be_used(files: Certificates, tmp_path: Path) -> None:
    """Each error names the setting and the file; an encrypted key does not make OpenSSL ask on the terminal."""
    other = Certificates.make(tmp_path / "other")
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(_encrypted(files.client_key.read_bytes()))
    none = str(tmp_path / "none.pem")
    ca, cert, key = str(files.ca), str(files.client_cert), str(files.client_key)
    for given, message in (
        ((none, None, None), "REDIS_TLS_CA_CERTS: .*none.pem cannot be read: No such file"),
        ((str(tmp_path), None, None), "REDIS_TLS_CA_CERTS: .* cannot be read: Is a directory"),
        ((str(text), None, None), "REDIS_TLS_CA_CERTS: .*text.pem has no certificates"),
        ((ca, none, key), "REDIS_TLS_CERT: .*none.pem cannot be read"),
        ((ca, cert, none), "REDIS_TLS_KEY: .*none.pem cannot be read"),
        ((ca, cert, str(other.client_key)), "REDIS_TLS_KEY: .* is not the key of the certificate"),
        ((ca, cert, str(text)), "REDIS_TLS_CERT and REDIS_TLS_KEY: .*text.pem are not a certificate and its key"),
        ((ca, cert, None), "REDIS_TLS_CERT: .* does not have a certificate and its key.*set REDIS_TLS_KEY"),
        ((ca, cert, str(encrypted)), "the key is encrypted"),
    ):
        with pytest.raises(InvalidInput, match=message):
            context(*given)
    both = tmp_path / "both.pem"
    both.write_bytes(files.client_cert.read_bytes() + files.client_key.read_bytes())
    assert context(ca, str(both), None).verify_mode is ssl.CERT_REQUIRED


def _encrypted(key: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization

    loaded = serialization.load_pem_private_key(key, None)
    how = serialization.BestAvailableEncryption(b"passphrase")
    return loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)
