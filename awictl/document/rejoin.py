"""Rejoin versions of a session that are based on one another, of which the later ones may lack actions.

The app writes whole documents without comparing, and cuts them to their last 100 actions: what it writes may lack
actions that were recorded meanwhile, and those that it cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .action_keys import keys_of
from .action_numbers import required_actions
from .byte_layout import decode, encode


def rejoined(versions: Sequence[bytes]) -> bytes:
    """The state of the last version, with the actions of all of them. Raises InvalidData if one is not a session."""
    documents = [decode(one) for one in versions]
    if len(documents) == 1:
        return versions[0]
    trajectories = [required_actions(one) for one in documents]
    actions = [*trajectories[0]]
    for number, later in enumerate(trajectories[1:], 1):
        # it is based on one of the earlier versions, and not on what is put together here
        actions += later[max(shared(earlier, later) for earlier in trajectories[:number]) :]
    last = documents[-1]
    return encode({**last, "history": {**last["history"], "actions": actions}})


def shared(earlier: Sequence[Any], later: Sequence[Any]) -> int:
    """How many of the first actions of `later` are in `earlier`, in that order and without others between them.

    Actions are compared by content (`action_keys`), since the app's `t` repeats.
    """
    known, wanted = keys_of(earlier), keys_of(later)
    best = 0
    for start in range(len(known)):
        if best >= min(len(known) - start, len(wanted)):
            break
        run = 0
        while run < min(len(known) - start, len(wanted)) and known[start + run] == wanted[run]:
            run += 1
        best = max(best, run)
    return best
