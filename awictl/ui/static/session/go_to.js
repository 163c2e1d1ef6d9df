// Go to an action: to one with a number, to the one at a time, or to the next one that has a text in it.

import {html, useState} from "../vendor/preact-htm.js";
import {stringify} from "../document/json.js";
import {findStep} from "./rows.js";

const DAY_MS = 86400000;
const MOMENT = /^(?:(\d{4}-\d\d-\d\d)[T ])?(\d\d?:\d\d)(:\d\d(?:\.\d{1,3})?)?Z?$/;

/**
 * The time in a text, in milliseconds since 1970; null if it has none.
 *
 * A time of day, in UTC, is on the day of the newest action, or on the day before if the session was there then, and is
 * not yet today: as for `awictl session show --at`.
 */
export function momentOf(text, rows) {
  const match = MOMENT.exec(text);
  const times = rows.map((row) => row.time).filter((time) => time !== null);
  if (!match || !times.length) return null;
  const [, day, minutes, seconds = ":00"] = match;
  const newest = times.reduce((one, other) => Math.max(one, other));
  const oldest = times.reduce((one, other) => Math.min(one, other));
  const date = day ?? new Date(newest).toISOString().slice(0, 10);
  const moment = Date.parse(`${date}T${minutes.padStart(5, "0")}${seconds}Z`);
  if (Number.isNaN(moment)) return null;
  return !day && moment > newest && moment - DAY_MS >= oldest ? moment - DAY_MS : moment;
}

/** The step that a text stands for: `{index}`, or `{problem}`. A text is looked for from the step after `index` on. */
export function stepOf(text, {timeline, steps, gaps, index}) {
  const {rows} = timeline;
  if (/^\d{1,15}$/.test(text)) return findStep(timeline, gaps, text);
  const moment = momentOf(text, rows);
  if (moment !== null) {
    const found = rows.findLastIndex((row) => row.time !== null && row.time <= moment);
    const time = new Date(moment).toISOString().slice(0, 19).replace("T", " ");
    return found >= 0 ? {index: found} : {problem: `No action that is known was made until ${time} UTC.`};
  }
  const wanted = text.toLowerCase();
  for (let by = 1; by <= rows.length; by += 1) {
    const at = (index + by) % rows.length;
    if (stringify(steps[at].action).toLowerCase().includes(wanted)) return {index: at};
  }
  return {problem: "No action that is known has this text in it."};
}

/** The field. `find(text)`: what `stepOf` returns; `goTo(index)`: show a step. */
export function GoTo({find, goTo, field}) {
  const [problem, setProblem] = useState(null);
  const onSubmit = (event) => {
    event.preventDefault();
    const text = field.current.value.trim();
    const found = text ? find(text) : {};
    setProblem(found.problem ?? null);
    if (found.index !== undefined) goTo(found.index);
  };
  return html`<form class="go-to" role="search" onSubmit=${onSubmit}>
    <input type="search" ref=${field} aria-label="Go to an action: its number, a time in UTC, or a text in it"
      placeholder="17, 12:05 or text"
      title="Number of an action, a time in UTC, or a text: Enter again for the next one"
      autocomplete="off" spellcheck=${false} enterkeyhint="search" onInput=${() => setProblem(null)} />
    <button type="submit">Go to</button>
    <span role="status" class="warn">${problem}</span>
  </form>`;
}
