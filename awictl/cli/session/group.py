"""The group that the commands of this folder register with."""

from ..options import new_group

app = new_group("Create, read, update and end sessions.")
