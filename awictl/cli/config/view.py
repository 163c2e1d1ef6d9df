"""How settings look on a terminal."""

from ..framework.cells import known
from ..framework.tables import Column

SETTINGS = [
    Column("SETTING", lambda row: row["setting"]),
    Column("VALUE", lambda row: known(row["value"]), narrow="fold"),
    Column("SOURCE", lambda row: row["source"]),
]
