"""The description of the API, OpenAPI 3.1: what is answered, and what may be asked, as JSON Schema."""

from __future__ import annotations

from typing import Any

from .._version import __version__
from ..agents.api_keys import Permission
from ..document.schema import PROTECTED_FIELDS
from .options import DEFAULT_PAGE, MAX_OFFSET, MAX_PAGE, SITE_FIELDS, ServerOptions

Schema = dict[str, Any]

ANY: Schema = {}
TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
OBJECT: Schema = {"type": "object"}
SESSION_ID: Schema = {"type": "string", "pattern": "^sess_[A-Za-z0-9_-]{1,64}$"}
SERVICE: Schema = {"enum": ["connected", "disconnected", "error", "disabled"]}
#: What a session says may be missing where another program wrote it otherwise.
STORED: Schema = {"description": "as the session has it; null where it has none"}

ERRORS = {
    400: "The request is malformed.",
    401: "There is no valid API key in the request.",
    403: "The agent is suspended, or its key does not allow this.",
    404: "The agent has no session.",
    408: "The body did not arrive in time.",
    409: "Other requests kept changing the session, or it cannot be read.",
    413: "The body, or the session with the update, is too large.",
    429: "The agent made too many requests; `Retry-After` says when the next may come.",
    503: "A backend does not answer, or the outcome of an update is not known (then `op_id` names it).",
}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None, **more: Any) -> Schema:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}, **more}


def _array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


STATE = {
    "success": {"const": True},
    "sessionId": SESSION_ID,
    "currentState": _object(
        {
            **dict.fromkeys(("route", "pagination", "filters", "sort"), STORED),
            "visibleItems": {**COUNT, "description": "how many items are visible"},
            "metadata": STORED,
        }
    ),
    "actionState": _object({"available": _array(ANY), "disabled": _array(ANY)}),
    "statistics": _object(
        {
            **dict.fromkeys(("totalActions", "successfulActions", "failedActions"), STORED),
            "successRate": {"type": "string", "pattern": r"^(N/A|\d+\.\d%)$"},
            "sessionDuration": {**_nullable(COUNT), "description": "milliseconds since the session began"},
            "lastActivity": STORED,
        }
    ),
    "cacheInfo": _object({"activeCacheKey": STORED, "cachedAt": STORED}),
    "timestamp": MOMENT,
}

SCHEMAS: dict[str, Schema] = {
    "Error": _object(
        {"success": {"const": False}, "error": TEXT, "message": TEXT},
        {
            "errorCode": TEXT,
            "op_id": {**TEXT, "description": "names the update whose outcome is not known"},
        },
    ),
    "State": _object(STATE),
    "Updated": _object(
        {
            **STATE,
            "action": {**_nullable(OBJECT), "description": "as recorded; null where it was found applied already"},
            "op_id": TEXT,
            "applied": {
                **FLAG,
                "description": "false where it was found applied already, by an earlier request or a try of this one",
            },
        }
    ),
    "History": _object(
        {
            "success": {"const": True},
            "sessionId": SESSION_ID,
            "trajectory": _array(ANY, description="actions, newest first"),
            "total": COUNT,
            "limit": COUNT,
            "offset": COUNT,
        }
    ),
    "Diff": {
        "oneOf": [
            _object({"success": {"const": True}, "delta": STORED, "last_action": STORED, "timestamp": MOMENT}),
            _object({"success": {"const": False}, "message": TEXT, "timestamp": MOMENT}),
        ]
    },
    "Cache": _object(
        {"success": {"const": True}, "cached": FLAG},
        {
            "message": TEXT,
            "cacheKey": STORED,
            "cachedAt": STORED,
            "resultCount": COUNT,
            "results": _array(ANY, description="the first few"),
        },
    ),
    "Ended": _object(
        {
            "success": {"const": True},
            "message": TEXT,
            "sessionId": SESSION_ID,
            "archived": {**FLAG, "description": "whether it is in the archive by now, whichever that is"},
            "archivedToMongoDB": {**FLAG, "description": "whether it is in MongoDB by now"},
            "timestamp": MOMENT,
        }
    ),
    "Registered": _object(
        {
            "success": {"const": True},
            "message": TEXT,
            "agent": _object(
                {
                    "id": TEXT,
                    "name": TEXT,
                    "apiKey": {**TEXT, "description": "told this once"},
                    "permissions": _array({"enum": list(Permission)}),
                    "description": _nullable(TEXT),
                    "rateLimit": _object({"requestsPerHour": COUNT}),
                    "createdAt": MOMENT,
                }
            ),
            "usage": _object({"header": TEXT, "example": TEXT}),
        }
    ),
    "Health": _object(
        {
            "success": FLAG,
            "services": _object(
                {"redis": SERVICE, "mongodb": SERVICE},
                {"archive": {**SERVICE, "description": "an archive that is not in MongoDB"}},
            ),
            "timestamp": MOMENT,
        }
    ),
    "Update": _object(
        {
            "delta": {
                "type": "object",
                "description": "merged into the session: objects merge, everything else replaces",
                "properties": dict.fromkeys((*PROTECTED_FIELDS, *SITE_FIELDS), False),
            }
        },
        {
            "action": {"type": "string", "minLength": 1, "default": "state_update"},
            "input": {**ANY, "default": {}},
            "success": {**FLAG, "default": True},
            "observation": {**ANY, "description": "what the agent saw"},
            "op_id": {
                **_nullable({"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$"}),
                "description": "names the update, so that repeating it applies it once",
            },
        },
        additionalProperties=False,
    ),
    "Registration": _object(
        {"name": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[ -~]+$"}},
        {
            "description": _nullable({"type": "string", "maxLength": 2000}),
            "permissions": _nullable(_array({"enum": list(Permission)}, minItems=1)),
            "agentType": ANY,
            "framework": ANY,
        },
    ),
}


def document(options: ServerOptions) -> dict[str, Any]:
    """The whole description of a server that is run so."""
    session = "/api/agent/session"
    page = [
        _query("limit", "how many actions at most", MAX_PAGE, DEFAULT_PAGE),
        _query("offset", "how many of the newest actions to leave out", MAX_OFFSET, 0),
    ]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AWI sessions",
            "version": __version__,
            "description": "The session state that a site keeps for each web agent.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "session", "description": "The session of the calling agent."},
            {"name": "agents", "description": "Keys of agents."},
            {"name": "operation", "description": "For operators."},
        ],
        "security": [{"agentKey": []}, {"bearer": []}],
        "paths": {
            f"{session}/state": {
                "get": _session("getState", "The state of the session, without its trajectory.", "State"),
                "post": _session(
                    "updateState",
                    "Merge a delta into the state, and record the action.",
                    "Updated",
                    (400, 409, 413),
                    requestBody=_body("Update", {"delta": {"page_state": {"pagination": {"cursor": 2}}}}),
                ),
            },
            f"{session}/history": {
                "get": _session("getHistory", "A page of the trajectory.", "History", (400, 404, 409), parameters=page)
            },
            f"{session}/diff": {"get": _session("getDiff", "What the last update changed.", "Diff")},
            f"{session}/cache": {"get": _session("getCache", "The cached results the session is at.", "Cache")},
            f"{session}/end": {
                "post": _session("endSession", "End the session and archive it.", "Ended", (400, 404, 409, 413))
            },
            "/api/agent/register": {"post": _registration(options)},
            "/api/health": {
                "get": _operation(
                    "operation",
                    "getHealth",
                    "Whether Redis and the archive answer.",
                    {"200": _json("All is well.", "Health"), "503": _json("Something does not answer.", "Health")},
                    security=[],
                )
            },
            "/metrics": {
                "get": _operation(
                    "operation",
                    "getMetrics",
                    "Metrics for Prometheus.",
                    {"200": {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": TEXT}}}},
                    security=[],
                )
            },
            "/openapi.json": {
                "get": _operation(
                    "operation",
                    "getDescription",
                    "This description.",
                    {"200": {"description": "OpenAPI 3.1.", "content": {"application/json": {"schema": OBJECT}}}},
                    security=[],
                )
            },
        },
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "agentKey": {"type": "apiKey", "in": "header", "name": "X-Agent-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "headers": {
                "X-RateLimit-Limit": {"description": "requests that this hour may have", "schema": COUNT},
                "X-RateLimit-Remaining": {"description": "how many of them are left", "schema": COUNT},
                "X-RateLimit-Reset": {"description": "when the hour ends, in seconds since 1970", "schema": COUNT},
                "Retry-After": {"description": "seconds until a repetition is worth while", "schema": COUNT},
            },
        },
    }


def _session(
    name: str, summary: str, answer: str, errors: tuple[int, ...] = (404, 409, 413), **more: Any
) -> dict[str, Any]:
    """An operation on the calling agent's session."""
    told = {
        header: {"$ref": f"#/components/headers/{header}"}
        for header in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    }
    answers = {"200": _json("Done.", answer, headers=told)}
    answers |= _errors(*{401, 403, 404, 408, 409, 413, 429, 503, *errors})
    return _operation("session", name, summary, answers, **more)


def _registration(options: ServerOptions) -> dict[str, Any]:
    state = "on" if options.allow_register else "off"
    return _operation(
        "agents",
        "register",
        f"A key for a new agent. Registration is {state} here.",
        {"201": _json("The key, told this once.", "Registered"), **_errors(400, 403, 408, 413, 503)},
        security=[],
        requestBody=_body("Registration", {"name": "BrowserUseAgent", "permissions": ["read", "write"]}),
    )


def _operation(tag: str, name: str, summary: str, responses: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"tags": [tag], "operationId": name, "summary": summary, "responses": responses, **more}


def _errors(*statuses: int) -> dict[str, Any]:
    retry = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
    return {
        str(status): _json(ERRORS[status], "Error", **({"headers": retry} if status in (429, 503) else {}))
        for status in sorted(statuses)
    }


def _json(description: str, schema: str, **more: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref(schema)}}, **more}


def _body(schema: str, example: Any) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": _ref(schema), "example": example}}}


def _query(name: str, description: str, most: int, default: int) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": {"type": "integer", "minimum": 0, "maximum": most, "default": default},
    }
