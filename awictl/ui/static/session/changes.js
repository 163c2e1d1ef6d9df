// What changed at a step of a session, and what is missing before it.

import {plural} from "./pointers.js";

/** Top-level fields that every action changes, as `ALWAYS_CHANGED` in `document/history/state_difference.py`. */
const ALWAYS_CHANGED = ["statistics", "last_updated"];

/** Whether a pointer is to something that every action changes. */
export function isBookkeeping(place) {
  return ALWAYS_CHANGED.includes(place.split("/", 2)[1]);
}

/** The state after a step and what the step changed: `{state, changes, note}`; the note is a sentence, or null. */
export function stepState(replay, breaks, index) {
  const state = replay.stateAt(index);
  return {state, changes: replay.changesAt(index), note: noteOf(replay.steps, breaks, index)};
}

function noteOf(steps, breaks, index) {
  const {ordinal, overwritten} = steps[index];
  if (overwritten) {
    return "Another writer overwrote this action: what it changed is in no later state. Shown is the state before it.";
  }
  let before = index - 1;
  while (before >= 0 && steps[before].overwritten) before -= 1;
  if (before < 0) {
    return ordinal === 0 ? null : "Earlier actions are missing: what this one changed is not known.";
  }
  const missing = ordinal - steps[before].ordinal - 1;
  if (missing <= 0 && !breaks.has(ordinal)) return null;
  const count = missing > 0 ? plural(missing, "action is", "actions are") : "An unknown number of actions is";
  return `${count} missing before this one: marked is what changed since action ${steps[before].ordinal}.`;
}
