"""Private Redis clusters and Sentinel deployments, from real processes on 127.0.0.1.

with Cluster(masters=3, replicas=1) as cluster:
    master = cluster.masters[0]
    cluster.kill(master)
    promoted = cluster.failed_over(master)
    cluster.settle()  # the killed one is back, as a replica
"""

from .cluster import Cluster
from .processes import Member
from .sentinels import Sentinels

__all__ = ["Cluster", "Member", "Sentinels"]
