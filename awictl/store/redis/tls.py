"""TLS: the context of connections from the files in the settings, and what to do about errors. Never without TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

from ...errors import InvalidInput

#: Codes of OpenSSL for certificates that are out of date, or are those of another host.
_OUT_OF_DATE = (9, 10)
_OTHER_HOST = (62, 64)
#: Parts of the reason if a server has no TLS on this port; if it has got no certificate; if it rejects the one it got.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
_REQUIRED = ("CERTIFICATE_REQUIRED", "ALERT_HANDSHAKE_FAILURE")
_REJECTED = ("ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE", "ALERT_UNSUPPORTED_CERTIFICATE")


def context(ca_certs: str | None, cert: str | None, key: str | None) -> ssl.SSLContext:
    """Return a context that verifies the server's certificate and host name, and shows a certificate if there is one.

    The arguments are paths of PEM files. Raises InvalidInput if one cannot be used.
    """
    files = {"REDIS_TLS_CA_CERTS": ca_certs, "REDIS_TLS_CERT": cert, "REDIS_TLS_KEY": key}
    for name, path in files.items():
        if path:
            try:
                with Path(path).open("rb"):
                    pass
            except OSError as error:
                raise InvalidInput(f"{name}: {path} cannot be read: {error.strerror}") from None
    try:
        made = ssl.create_default_context(cafile=ca_certs or None)
    except (OSError, ValueError):
        raise InvalidInput(f"REDIS_TLS_CA_CERTS: {ca_certs} has no certificates in PEM format") from None
    if cert:
        try:
            made.load_cert_chain(cert, key or None, password=_no_password)
        except InvalidInput:
            raise
        except (OSError, ValueError) as error:
            if "KEY_VALUES_MISMATCH" in str(error):
                raise InvalidInput(f"REDIS_TLS_KEY: {key or cert} is not the key of the certificate {cert}") from None
            where = f"REDIS_TLS_CERT and REDIS_TLS_KEY: {cert} and {key}" if key else f"REDIS_TLS_CERT: {cert}"
            what = "are not a certificate and its key" if key else "does not have a certificate and its key"
            raise InvalidInput(
                f"{where} {what}, in PEM format; set REDIS_TLS_KEY if the key is in another file"
            ) from None
    return made


def _no_password() -> str:
    # OpenSSL would ask for it on the terminal
    raise InvalidInput(
        "REDIS_TLS_KEY: the key is encrypted, which awictl does not support; use a key without passphrase"
    )


def reason(error: ssl.SSLError) -> str:
    """Why TLS failed, without the address."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not trusted: {error.verify_message}"
    text = error.reason or str(error)
    if any(part in text for part in _NOT_TLS):
        return "it does not speak TLS"
    if any(part in text for part in _REQUIRED):
        return f"it requires a client certificate ({text})"
    if any(part in text for part in _REJECTED):
        return f"it does not accept the client certificate ({text})"
    return f"TLS failed: {text}"


def remedy(error: ssl.SSLError) -> str:
    """What an operator should do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OUT_OF_DATE:
            return "renew the server's certificate, or correct this machine's clock"
        if error.verify_code in _OTHER_HOST:
            return (
                "use the host name that is in its certificate; nodes of a cluster, and servers that sentinels name, "
                "have to announce it (cluster-announce-hostname, replica-announce-ip)"
            )
        return "set REDIS_TLS_CA_CERTS to the PEM file of the authority that issued it"
    text = error.reason or str(error)
    if any(part in text for part in _NOT_TLS):
        return "use the server's TLS port; without TLS, use redis:// (REDIS_TLS=false)"
    if any(part in text for part in (*_REQUIRED, *_REJECTED)):
        return (
            "set REDIS_TLS_CERT and REDIS_TLS_KEY to a certificate, and its key, of an authority that the server trusts"
        )
    return "check the TLS settings of both sides (`awictl config show`)"


def is_rejection(error: BaseException | None) -> bool:
    """Whether the server ended the handshake because of the client's certificate; it has read no request then."""
    text = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    return any(part in text for part in (*_REQUIRED, *_REJECTED))
