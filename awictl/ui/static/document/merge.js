/* Merge deltas into states, as `document/merge.py` and `document/history/partial_state.py` do.
 *
 * Objects merge key by key; everything else replaces, including null; nothing is deleted. A state may be known in part:
 * UNKNOWN stands for any value or none, and an object with the key OPEN may have other keys.
 */

import {has, isObject, setKey} from "./json.js";

/** Any value, or none. */
export const UNKNOWN = Symbol("unknown");
/** The key that marks an object of which other keys are unknown. It is no JSON key, and copies keep it. */
export const OPEN = Symbol("open");

/**
 * A state with a delta merged into it. It shares unchanged parts with the state, which is not modified, except for
 * objects in the set `owned`: those are changed in place. New objects are added to the set.
 */
export function applyDelta(state, delta, owned = new Set()) {
  if (!isObject(delta)) {
    return delta;
  }
  if (state === UNKNOWN) {
    const made = {[OPEN]: true};
    owned.add(made);
    Object.keys(delta).forEach((key) => setKey(made, key, applyDelta(UNKNOWN, delta[key], owned)));
    return made;
  }
  if (!isObject(state)) {
    return delta;
  }
  const after = ownCopy(state, owned);
  for (const key of Object.keys(delta)) {
    if (has(after, key)) {
      setKey(after, key, applyDelta(after[key], delta[key], owned));
    } else {
      setKey(after, key, after[OPEN] ? applyDelta(UNKNOWN, delta[key], owned) : delta[key]);
    }
  }
  return after;
}

/** An object that may be changed in place: itself if it is owned, else a copy, which is owned then. */
export function ownCopy(object, owned) {
  if (owned.has(object)) {
    return object;
  }
  const copy = {...object};
  owned.add(copy);
  return copy;
}
