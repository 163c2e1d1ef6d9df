"""The description of the API, OpenAPI 3.1, generated from the routes and from the types of their bodies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, get_args

import msgspec

from .._version import __version__
from .options import ServerOptions
from .response_types import ErrorResponse
from .routes import Route

#: Meaning of the statuses of errors.
ERRORS = {
    400: "The request is malformed.",
    401: "The request has no valid API key.",
    403: "The agent is suspended, or its API key lacks the permission.",
    404: "The agent has no session.",
    408: "The request body did not arrive in time.",
    409: "Concurrent requests kept changing the session, or its stored data cannot be read.",
    413: "The request body, the updated session, or what a page of the history takes to read is too large.",
    429: "Too many requests of the agent, registrations, or unknown API keys; `Retry-After` says when to try again.",
    503: "A backend does not respond, or the outcome of the update named by `op_id` is unknown or unconfirmed.",
}
#: Errors of every route that requires an API key.
KEY_ERRORS = (401, 403, 404, 408, 409, 413, 429, 503)
#: Name of the header `asgi.DEGRADED`, as it is documented.
DEGRADED_HEADER = "X-AWI-Degraded"
#: Response headers, and what they mean.
HEADERS = {
    "X-RateLimit-Limit": "maximum number of requests for this operation per hour",
    "X-RateLimit-Remaining": "requests left in this hour",
    "X-RateLimit-Reset": "when the hour ends, in seconds since 1970",
    "Retry-After": "seconds until the request should be repeated",
    DEGRADED_HEADER: "1 if MongoDB was used because Redis is unreachable; otherwise absent",
}
RATE_LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


def document(options: ServerOptions, routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI document of a server with these options and routes."""
    types = {one: None for route in routes for one in _types_of(route)}
    references, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(types, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    registration = "can" if options.allow_register else "cannot"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AWI sessions",
            "version": __version__,
            "description": "The session state that a site keeps for each web agent. "
            f"Agents {registration} register themselves on this server.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "session", "description": "The session of the calling agent."},
            {"name": "agents", "description": "The API keys of agents."},
            {"name": "operation", "description": "For operators."},
            {"name": "discovery", "description": "Descriptions of this server."},
        ],
        "security": [{"agentKey": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "agentKey": {"type": "apiKey", "in": "header", "name": "X-Agent-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer", "description": "`Bearer` can be left out."},
            },
            "headers": {
                name: {"description": description, "schema": {"type": "integer", "minimum": 0}}
                for name, description in HEADERS.items()
            },
        },
    }


def _types_of(route: Route) -> Iterable[type]:
    if route.request is not None:
        yield route.request
    for kind in route.responses.values():
        yield from get_args(kind) or (kind,)
    yield ErrorResponse


def _operation(route: Route, schema_of: dict[type, Any]) -> dict[str, Any]:
    responses = {}
    for status, kind in route.responses.items():
        schemas = [schema_of[one] for one in get_args(kind) or (kind,)]
        responses[str(status)] = _response(
            HTTPStatus(status).phrase,
            schemas[0] if len(schemas) == 1 else {"oneOf": schemas},
            () if route.public else (*RATE_LIMIT_HEADERS, DEGRADED_HEADER),
            "text/plain" if kind is str else "application/json",
        )
    for status in sorted({*route.errors, *(() if route.public else KEY_ERRORS)}):
        headers = ("Retry-After",) if status in (429, 503) else ()
        responses[str(status)] = _response(ERRORS[status], schema_of[ErrorResponse], headers)
    first, *others = route.handler.__name__.split("_")
    operation: dict[str, Any] = {
        "tags": [route.tag],
        "operationId": first + "".join(map(str.title, others)),
        "summary": (route.handler.__doc__ or "").partition("\n")[0],
        "responses": responses,
    }
    if route.public:
        operation["security"] = []
    if route.query:
        operation["parameters"] = [
            {
                "name": one.name,
                "in": "query",
                "description": f"{one.description}; what is not a positive number counts as {one.default:,}, "
                f"and what is greater than {one.maximum:,} as that",
                # text is not an error, as in the app
                "schema": {"type": ["integer", "string"], "default": one.default},
            }
            for one in route.query
        ]
    if route.request is not None:
        content = {"schema": schema_of[route.request], "example": route.example}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _response(
    description: str, schema: Any, headers: Sequence[str] = (), content_type: str = "application/json"
) -> dict[str, Any]:
    response: dict[str, Any] = {"description": description, "content": {content_type: {"schema": schema}}}
    if headers:
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    return response
