// The actions of a session as the timeline shows them.

import {isObject} from "../document/json.js";
import {brief, plural} from "./pointers.js";

/** A pause of more milliseconds is idle time. */
export const IDLE_MS = 30000;

/** Characters of the name of an action that are shown. */
const NAME_LENGTH = 200;

/** The outcome of an action in a word: "ok", "failed", or "" if its record has none. */
function outcomeOf(action) {
  if (action.success === true) return "ok";
  return action.success === false ? "failed" : "";
}

/** The name of an action; a record that has none is shown as it is. */
export function nameOf(action) {
  if (isObject(action) && typeof action.action === "string") return action.action.slice(0, NAME_LENGTH);
  return brief(isObject(action) && "action" in action ? action.action : action, 60);
}

/** The address of a step within its session: its ordinal, and for an overwritten one, which of them. */
export function stepKey(ordinal, overwritten) {
  return overwritten ? `${ordinal}-${overwritten}` : String(ordinal);
}

/**
 * The rows of the timeline: `{rows, items, itemAt, indexes}`.
 *
 * `rows`: one per step, in order: `{index, key, ordinal, t, name, outcome, time, iso, since, overwritten}`, `time` and
 * `since` in milliseconds or null. `items`: rows, gaps and days, as they are listed; `itemAt`: where in it each row is.
 * `indexes`: Map from the key of a step to its index.
 */
export function rowsOf(steps, gaps, breaks) {
  const rows = [];
  const items = [];
  const itemAt = [];
  const indexes = new Map();
  let nextGap = 0;
  let before = null;
  let lastDay = null;
  let overwrittenAt = [null, 0];
  steps.forEach((step, index) => {
    for (; nextGap < gaps.length && gaps[nextGap][1] < step.ordinal; nextGap += 1) {
      const [first, last] = gaps[nextGap];
      items.push({gap: true, first, last, text: `${plural(last - first + 1, "action")} missing`, before: index});
    }
    if (breaks.has(step.ordinal) && !step.overwritten) {
      items.push({gap: true, text: "actions missing, unknown how many", before: index});
    }
    const action = isObject(step.action) ? step.action : {};
    const parsed = typeof action.timestamp === "string" ? Date.parse(action.timestamp) : NaN;
    const time = Number.isNaN(parsed) ? null : parsed;
    if (step.overwritten) {
      overwrittenAt = overwrittenAt[0] === step.ordinal ? [step.ordinal, overwrittenAt[1] + 1] : [step.ordinal, 1];
    }
    const day = time === null ? null : new Date(time).toISOString().slice(0, 10);
    if (day !== null && day !== lastDay) {
      items.push({gap: false, day, text: `${day} UTC`});
      lastDay = day;
    }
    const row = {
      index,
      key: stepKey(step.ordinal, step.overwritten ? overwrittenAt[1] : 0),
      ordinal: step.ordinal,
      t: "t" in action && action.t !== step.ordinal ? brief(action.t, 20) : null,
      name: nameOf(step.action),
      outcome: outcomeOf(action),
      time,
      iso: time === null ? null : action.timestamp,
      since: time !== null && before !== null ? time - before : null,
      overwritten: Boolean(step.overwritten),
    };
    if (time !== null) before = time;
    itemAt.push(items.length);
    items.push(row);
    rows.push(row);
    indexes.set(row.key, index);
  });
  return {rows, items, itemAt, indexes};
}

/** What a number in the address stands for: `{index}`, or `{problem}`, a sentence that says why there is none. */
export function findStep(timeline, gaps, text) {
  const index = timeline.indexes.get(text);
  if (index !== undefined) return {index};
  if (!/^\d{1,15}$/.test(text)) return {problem: "The address names no action: after #t= stands the number of one."};
  const {rows} = timeline;
  if (!rows.length) return {problem: "The session has no actions."};
  const number = Number(text);
  const gap = gaps.find(([first, last]) => first <= number && number <= last);
  if (gap) return {problem: `Action ${number} is missing, as are all from ${gap[0]} to ${gap[1]}.`};
  const known = `the actions that are known are ${rows[0].ordinal} to ${rows.at(-1).ordinal}`;
  return {problem: `There is no action ${number}: ${known}.`};
}
