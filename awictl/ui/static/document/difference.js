/* How two JSON values differ. */

import {equal, has, isObject, pointer} from "./json.js";

/**
 * The fields that differ between two objects: a Map from JSON pointers to `{kind, was}`, where the kind is "added",
 * "changed", "removed", or "unknown" if the value before or after is unknown. Arrays are compared as a whole. Parts that
 * are the same object are not looked at. `unknown`: JSON pointers to what is unknown before, and after.
 */
export function difference(before, after, unknownBefore = [], unknownAfter = []) {
  const found = new Map();
  compare(before, after, "", {before: new Set(unknownBefore), after: new Set(unknownAfter), found});
  return found;
}

function compare(before, after, path, all) {
  if (before === after) {
    return;
  }
  for (const key of Object.keys(after)) {
    if (!has(before, key)) {
      const place = pointer(path, key);
      const isUnknown = all.before.has(place) || all.before.has(path);
      all.found.set(place, {kind: isUnknown ? "unknown" : "added", was: undefined});
    } else if (before[key] !== after[key]) {
      const [old, value] = [before[key], after[key]];
      if (isObject(old) && isObject(value)) {
        compare(old, value, pointer(path, key), all);
      } else if (!equal(old, value)) {
        all.found.set(pointer(path, key), {kind: "changed", was: old});
      }
    }
  }
  for (const key of Object.keys(before)) {
    if (!has(after, key)) {
      const place = pointer(path, key);
      const isUnknown = all.after.has(place) || all.after.has(path);
      all.found.set(place, {kind: isUnknown ? "unknown" : "removed", was: before[key]});
    }
  }
}
