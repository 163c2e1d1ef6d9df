"""The group that the commands of this folder register with."""

from ..options import new_group

app = new_group("Archive sessions before they expire; find and restore archived ones.")
