"""`doctor`: health checks of the servers, the stored data and the archive.

examine.py         run all checks, in order
report.py          the result of a check: pass, warn or fail, with evidence and remedy
server_checks.py   checks of what a server reports about itself (INFO, CONFIG, TIME)
mongo_checks.py    checks of MongoDB, if it has the live sessions
data_scan.py       scan of all AWI keys
findings.py        what that scan found
data_checks.py     the findings as checks
archive_checks.py  checks of the archive
repair.py          repairs of keys that are derived from sessions
"""

from .examine import examine, examine_data
from .repair import Repair, RepairPlan
from .report import Check, Report, Status

__all__ = ["Check", "Repair", "RepairPlan", "Report", "Status", "examine", "examine_data"]
