"""Options that several commands of this folder have in common."""

from typing import Annotated, Literal

from ..framework.params import option

Cluster = Annotated[bool, option("--cluster", help="The embedded cluster: three masters on ports of 127.0.0.1.")]
Sentinel = Annotated[
    bool,
    option("--sentinel", help="The embedded Sentinel deployment: a primary, two replicas and three sentinels."),
]


def kind_of(cluster: bool, sentinel: bool) -> Literal["cluster", "sentinel"] | None:
    """What the options select; None: the embedded server. Raises InvalidInput if both are given."""
    if cluster and sentinel:
        from ...errors import InvalidInput

        raise InvalidInput("--cluster and --sentinel select different deployments; pass one of them")
    return "cluster" if cluster else "sentinel" if sentinel else None
