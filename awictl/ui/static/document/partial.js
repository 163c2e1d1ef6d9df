/* States of which parts are unknown: from a head and JSON pointers to what is unknown of it, and back. */

import {has, isObject, keysOf, pointer, setKey} from "./json.js";
import {OPEN, UNKNOWN, ownCopy} from "./merge.js";

/** Mark what JSON pointers name as unknown: other keys, if there is an object, else the value. */
export function withUnknown(state, pointers, owned = new Set()) {
  return pointers.reduce(
    (found, place) =>
      changedAt(found, keysOf(place), owned, (value) => {
        if (!isObject(value)) {
          return UNKNOWN;
        }
        const copy = ownCopy(value, owned);
        copy[OPEN] = true;
        return copy;
      }),
    state,
  );
}

/** A state with the changes of a keyframe, of which the payload of a session says what they are. */
export function corrected(state, keyframe, owned = new Set()) {
  if (keyframe.head !== undefined) {
    return withUnknown(keyframe.head, keyframe.unknown, owned);
  }
  for (const place of keyframe.absent) {
    state = changedAt(state, keysOf(place), owned, () => undefined);
  }
  for (const [place, value] of keyframe.set) {
    state = changedAt(state, keysOf(place), owned, () => value);
  }
  for (const place of keyframe.closed) {
    state = changedAt(state, keysOf(place), owned, (value) => {
      const copy = ownCopy(value, owned);
      delete copy[OPEN];
      return copy;
    });
  }
  return withUnknown(state, keyframe.unknown, owned);
}

/* Change the value at some keys; undefined stands for none. */
function changedAt(state, keys, owned, change) {
  if (!keys.length) {
    return change(state);
  }
  const copy = ownCopy(state, owned);
  let inner = copy;
  for (const key of keys.slice(0, -1)) {
    setKey(inner, key, ownCopy(inner[key], owned));
    inner = inner[key];
  }
  const last = keys.at(-1);
  const value = change(has(inner, last) ? inner[last] : undefined);
  if (value === undefined) {
    delete inner[last];
  } else {
    setKey(inner, last, value);
  }
  return copy;
}

/* What is known of objects that have something unknown in them, and where; null for those without. They are shared by
   many states, which are never modified once they are looked at. */
const examined = new WeakMap();

/* {value, unknown: pointers relative to the object}, or null if all of it is known. */
function examine(object) {
  let found = examined.get(object);
  if (found !== undefined) {
    return found;
  }
  const isOpen = Boolean(object[OPEN]);
  const unknown = isOpen ? [""] : [];
  let known = null;
  for (const key of Object.keys(object)) {
    const value = object[key];
    const inner = isObject(value) ? examine(value) : null;
    if (value !== UNKNOWN && inner === null) {
      continue;
    }
    known ??= {...object};
    if (value === UNKNOWN) {
      delete known[key];
    } else {
      setKey(known, key, inner.value);
    }
    if (value !== UNKNOWN || !isOpen) {
      const place = pointer("", key);
      (inner?.unknown ?? [""]).forEach((one) => unknown.push(place + one));
    }
  }
  if (known !== null || isOpen) {
    known ??= {...object};
    delete known[OPEN];
    found = {value: known, unknown};
  } else {
    found = null;
  }
  examined.set(object, found);
  return found;
}

/** The known part of a state as plain JSON, which is the same object for the same state, and pointers to the rest. */
export function knownPart(state) {
  return examine(state) ?? {value: state, unknown: []};
}
