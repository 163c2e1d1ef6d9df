"""`doctor`: is all well with the server, the sessions in it, and the archive?

report.py   what a check says: pass, warn or fail, with the evidence and the remedy
server.py   checks of what the server tells of itself
data.py     checks of what is stored, in one walk through all keys
archive.py  checks of the archive
repair.py   what can be put right, since it is derived from the sessions
"""

from .examine import examine
from .repair import Repair, Repairs
from .report import Check, Report, Status

__all__ = ["Check", "Repair", "Repairs", "Report", "Status", "examine"]
