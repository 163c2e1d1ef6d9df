"""The types of response bodies, in the app's shapes.

Each shape is declared once, here: mypy checks the functions that build the bodies against it, and the OpenAPI document
is generated from it. Values of the session document are passed on as they are stored, whatever their type.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from ..agents.api_keys import Permission
from ..document.keys import SESSION_ID_PATTERN

#: Maximum number of cached results in `GET …/cache`.
CACHE_PREVIEW = 5

TrueFlag = Annotated[bool, Meta(extra_json_schema={"const": True})]
FalseFlag = Annotated[bool, Meta(extra_json_schema={"const": False})]
Count = Annotated[int, Meta(ge=0)]
Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
SessionId = Annotated[str, Meta(pattern=f"^{SESSION_ID_PATTERN}$")]
Stored = Annotated[Any, Meta(description="as stored in the session; null if it has none")]
Degraded = Annotated[
    bool, Meta(description="whether MongoDB was used because Redis is unreachable", extra_json_schema={"const": True})
]
Status = Literal["connected", "disconnected", "error", "disabled"]


class ErrorResponse(TypedDict):
    success: FalseFlag
    error: str
    message: str
    errorCode: NotRequired[str]
    op_id: NotRequired[Annotated[str, Meta(description="the update whose outcome is unknown, or unconfirmed")]]
    unconfirmed: NotRequired[Annotated[bool, Meta(description="applied, but a failover may lose it; repeat it")]]
    suspendedUntil: NotRequired[Annotated[Timestamp | None, Meta(description="null if the suspension has no end")]]
    suspensionReason: NotRequired[str | None]


class CurrentState(TypedDict):
    route: Stored
    pagination: Stored
    filters: Stored
    sort: Stored
    visibleItems: Annotated[Count, Meta(description="number of visible items")]
    metadata: Stored


class ActionState(TypedDict):
    available: list[Any]
    disabled: list[Any]


class ActionCounts(TypedDict):
    totalActions: Stored
    successfulActions: Stored
    failedActions: Stored
    successRate: Annotated[str, Meta(pattern=r"^(N/A|\d+\.\d%)$")]


class SessionStatistics(ActionCounts):
    sessionDuration: Annotated[Count | None, Meta(description="milliseconds since the session was created")]
    lastActivity: Stored


class CacheInfo(TypedDict):
    activeCacheKey: Stored
    cachedAt: Stored


class StateResponse(TypedDict):
    success: TrueFlag
    sessionId: SessionId
    currentState: CurrentState
    actionState: ActionState
    statistics: SessionStatistics
    cacheInfo: CacheInfo
    timestamp: Timestamp
    degraded: NotRequired[Degraded]


class UpdateResponse(StateResponse):
    action: Annotated[
        dict[str, Any] | None, Meta(description="as recorded; null if this op_id had been applied before")
    ]
    op_id: str
    applied: Annotated[
        bool, Meta(description="false if this op_id had been applied before, by another request or an internal retry")
    ]
    appliedTo: Annotated[
        SessionId | None, Meta(description="the agent's earlier session that this op_id had been applied to, if any")
    ]


class HistoryResponse(TypedDict):
    success: TrueFlag
    sessionId: SessionId
    trajectory: Annotated[list[Any], Meta(description="actions, newest first")]
    total: Count
    limit: Count
    offset: Count
    degraded: NotRequired[Degraded]


class DiffResponse(TypedDict):
    success: TrueFlag
    delta: Stored
    last_action: Stored
    timestamp: Timestamp
    degraded: NotRequired[Degraded]


class NoDiffResponse(TypedDict):
    success: FalseFlag
    message: str
    timestamp: Timestamp
    degraded: NotRequired[Degraded]


class CacheResponse(TypedDict):
    success: TrueFlag
    cached: bool
    message: NotRequired[str]
    cacheKey: NotRequired[Stored]
    cachedAt: NotRequired[Stored]
    resultCount: NotRequired[Count]
    results: NotRequired[Annotated[list[Any], Meta(description=f"the first {CACHE_PREVIEW} results")]]
    degraded: NotRequired[Degraded]


class EndResponse(TypedDict):
    success: TrueFlag
    message: str
    sessionId: SessionId
    archived: Annotated[bool, Meta(description="whether the session is in the archive, of whatever kind")]
    archivedToMongoDB: Annotated[bool, Meta(description="whether the session is in MongoDB")]
    timestamp: Timestamp
    degraded: NotRequired[Degraded]


class AgentRateLimit(TypedDict):
    requestsPerHour: Count


class RegisteredAgent(TypedDict):
    id: str
    name: str
    apiKey: Annotated[str, Meta(description="shown only in this response")]
    permissions: list[Permission]
    description: str | None
    rateLimit: AgentRateLimit
    createdAt: Timestamp
    expiresAt: Annotated[Timestamp | None, Meta(description="when the key expires if it is not used before")]


class KeyUsage(TypedDict):
    header: str
    example: str


class RegistrationResponse(TypedDict):
    success: TrueFlag
    message: str
    agent: RegisteredAgent
    usage: KeyUsage


class HealthStatuses(TypedDict):
    redis: Status
    mongodb: Status
    archive: NotRequired[Annotated[Status, Meta(description="an archive that is not in MongoDB")]]


class HealthResponse(TypedDict):
    success: bool
    services: HealthStatuses
    degraded: Annotated[bool, Meta(description="whether MongoDB is used because Redis is unreachable")]
    breaker: Annotated[
        Literal["closed", "open", "half-open", "disabled"],
        Meta(description="whether this worker sends requests to Redis: all, none, or only probes"),
    ]
    timestamp: Timestamp


class Parameter(TypedDict):
    description: str
    default: int


class ServedOperation(TypedDict):
    operation: Annotated[str, Meta(description="`operationId` in the OpenAPI document")]
    method: str
    endpoint: str
    description: str
    requiresAuth: bool
    permissions: list[Permission]
    parameters: NotRequired[dict[str, Parameter]]
    requestBody: NotRequired[Annotated[Any, Meta(description="an example")]]


class DiscoveryPaths(TypedDict):
    wellKnownUri: str
    capabilities: str


class Authentication(TypedDict):
    type: str
    header: str
    description: str
    registration: Annotated[str | None, Meta(description="path; null if agents cannot register themselves")]


class SessionFeature(TypedDict):
    enabled: bool
    endpoints: dict[str, str]


class DegradationFeature(TypedDict):
    header: str
    field: str
    description: str


class Features(TypedDict):
    sessionState: SessionFeature
    degradation: DegradationFeature


class DefaultRateLimit(TypedDict):
    default: Annotated[int | None, Meta(description="null if there is no limit")]
    unit: str


class DocumentationPaths(TypedDict):
    openapi: str
    wellKnown: str


class Capabilities(TypedDict):
    name: str
    description: str
    discovery: DiscoveryPaths
    operations: list[ServedOperation]
    authentication: Authentication
    features: Features
    rateLimit: DefaultRateLimit
    maxBodyBytes: Count
    dataFormats: list[str]
    documentation: DocumentationPaths


class CapabilitiesResponse(TypedDict):
    success: TrueFlag
    capabilities: Capabilities
