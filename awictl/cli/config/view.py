"""How settings look on a terminal."""

from ..framework.cells import known
from ..framework.tables import Column

SETTINGS = [
    Column("SETTING", lambda row: row["setting"]),
    Column("VALUE", lambda row: known(row["value"]), narrow="fold"),
    Column("SOURCE", lambda row: row["source"], drop=1),
]

PROFILES = [
    Column("PROFILE", lambda row: row["profile"]),
    Column("DEFAULT", lambda row: "yes" if row["default"] else "-", drop=2),
    Column("REDIS", lambda row: row.get("error") or known(row["redis"]), narrow="fold"),
    Column("ARCHIVE", lambda row: known(row["archive"]), narrow="fold", drop=1),
    Column("READ-ONLY", lambda row: {True: "yes", False: "no"}.get(row["read_only"], "-")),
]
