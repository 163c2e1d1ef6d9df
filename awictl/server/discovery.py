"""What an agent that does not know this server can find out: what it serves, and how to call it.

Both descriptions, as JSON and as text, are made from the OpenAPI document and the routes, so that they cannot differ
from what is served.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..document.json_codec import dumps
from . import response_types as types
from .asgi import CAPABILITIES, LLM_TEXT, OPENAPI
from .openapi import DEGRADED_HEADER, document
from .options import ServerOptions
from .routes import REGISTER, SESSION, Route
from .worker import Descriptions

_KEY = "X-Agent-API-Key: KEY, Authorization: Bearer KEY, or Authorization: KEY"

_DEGRADATION = (
    "A response with it was made while a backend was unreachable: the state may lack recent updates of other programs. "
    "Updates are recorded, and applied afterwards."
)


def describe(options: ServerOptions, routes: Sequence[Route]) -> Descriptions:
    """The descriptions of a server with these options and routes, as they are sent."""
    openapi = document(options, routes)
    found = capabilities(openapi, options, routes)
    return Descriptions(dumps(openapi), dumps({"success": True, "capabilities": found}), text(found).encode())


def capabilities(openapi: dict[str, Any], options: ServerOptions, routes: Sequence[Route]) -> types.Capabilities:
    """The operations of a server, and how to call them. `openapi`: its OpenAPI document."""
    operations = [_operation(openapi["paths"][one.path][one.method.lower()], one) for one in routes]
    sessions = {one.path.removeprefix(f"{SESSION}/"): one.path for one in routes if one.path.startswith(SESSION)}
    return {
        "name": openapi["info"]["title"],
        "description": openapi["info"]["description"],
        "discovery": {"wellKnownUri": LLM_TEXT, "capabilities": CAPABILITIES},
        "operations": operations,
        "authentication": {
            "type": "api_key",
            "header": "X-Agent-API-Key",
            "description": f"Send the API key as {_KEY}.",
            "registration": REGISTER if options.allow_register else None,
        },
        "features": {
            "sessionState": {"enabled": True, "endpoints": sessions},
            "degradation": {"header": DEGRADED_HEADER, "field": "degraded", "description": _DEGRADATION},
        },
        "rateLimit": {"default": options.rate_limit or None, "unit": "requests per hour for each operation"},
        "maxBodyBytes": options.max_body_bytes,
        "dataFormats": ["application/json"],
        "documentation": {"openapi": OPENAPI, "wellKnown": LLM_TEXT},
    }


def _operation(described: dict[str, Any], route: Route) -> types.ServedOperation:
    operation: types.ServedOperation = {
        "operation": described["operationId"],
        "method": route.method,
        "endpoint": route.path,
        "description": described["summary"],
        "requiresAuth": not route.public,
        "permissions": [] if route.permission is None else [route.permission],
    }
    if route.query:
        operation["parameters"] = {
            one["name"]: {"description": one["description"], "default": one["schema"]["default"]}
            for one in described["parameters"]
        }
    if route.request is not None:
        operation["requestBody"] = described["requestBody"]["content"]["application/json"]["example"]
    return operation


def text(found: types.Capabilities) -> str:
    """The capabilities as text, for a language model."""
    limit, registration = found["rateLimit"]["default"], found["authentication"]["registration"]
    lines = [f"# {found['name']}", "", found["description"], ""]
    lines.append(f"- {found['authentication']['description']}")
    lines.append(
        f"- To get an API key: POST {registration}" if registration else "- To get an API key, ask the operator."
    )
    if limit:
        lines.append(f"- Limit: {limit:,} {found['rateLimit']['unit']}.")
    degradation = found["features"]["degradation"]
    lines.append(f'- {degradation["header"]}: 1 and "{degradation["field"]}": true. {degradation["description"]}')
    lines += [f"- A request body is JSON of at most {found['maxBodyBytes']:,} bytes.", "", "## Operations", ""]
    for one in found["operations"]:
        key = "".join(f", permission {name}" for name in one["permissions"]) if one["requiresAuth"] else ", no API key"
        lines.append(f"- {one['method']} {one['endpoint']} ({one['operation']}{key}): {one['description']}")
        lines += [f"  - query {name}: {about['description']}" for name, about in one.get("parameters", {}).items()]
        if "requestBody" in one:
            lines.append(f"  - body, for example: {dumps(one['requestBody']).decode()}")
    lines += ["", f"The same as JSON: {CAPABILITIES}. Schemas of all bodies: {OPENAPI} (OpenAPI 3.1).", ""]
    return "\n".join(lines)
