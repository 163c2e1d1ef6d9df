// The action of a step.

import {html, useMemo} from "../vendor/preact-htm.js";
import {isObject} from "../document/json.js";
import {Tree} from "../widgets/tree.js";
import {formatDuration, formatMoment} from "../widgets/time.js";
import {Text} from "../widgets/text.js";
import {brief} from "./pointers.js";
import {Outcome} from "./timeline.js";

const SHOWN = ["t", "action", "input", "delta", "timestamp", "success", "observation"];

/** The action: its name, input, delta, observation, and whatever else its record has. */
export function ActionPanel({step, row}) {
  const action = step.action;
  return useMemo(() => {
    const record = isObject(action) ? action : {};
    const {others, count} = othersOf(record);
    return html`<section class="action" aria-labelledby="action-title">
      <h2 id="action-title"><span class="muted">${row.ordinal}</span> <${Text} value=${row.name} max=${200} />
        ${" "}<${Outcome} outcome=${row.outcome} />
        ${row.overwritten && html` <span class="badge warn">overwritten by another writer</span>`}</h2>
      <p class="muted">
        ${"timestamp" in record
          ? html`<time><${Text} value=${withDate(record.timestamp)} max=${60} /></time>`
          : "no time"}
        ${row.since !== null && `, ${formatDuration(row.since)} after the action before it`}
        ${row.t !== null && html`, stored as t=<${Text} value=${row.t} />`}
      </p>
      ${!isObject(action) && html`<p>The record is not an object:</p><${Tree} value=${action} />`}
      <${Part} name="Input" record=${record} field="input" />
      <${Part} name="Delta" record=${record} field="delta" />
      <${Part} name="Observation" record=${record} field="observation" />
      ${count > 0 && html`<h3>Other fields</h3><${Tree} value=${others} label="Other fields of the action" />`}
    </section>`;
  }, [action, row]);
}

/** When an action was recorded; also as it is stored, if that is written differently. */
function withDate(timestamp) {
  if (typeof timestamp !== "string" || Number.isNaN(Date.parse(timestamp))) return brief(timestamp, 60);
  const usual = new Date(timestamp).toISOString() === timestamp;
  return `${formatMoment(timestamp)} UTC${usual ? "" : ` (${timestamp})`}`;
}

function othersOf(record) {
  const others = {...record};
  for (const name of SHOWN) delete others[name];
  return {others, count: Object.keys(others).length};
}

function Part({name, record, field}) {
  if (!Object.hasOwn(record, field)) return html`<h3>${name}</h3><p class="muted">none</p>`;
  const value = record[field];
  return html`<h3>${name}</h3>
    ${typeof value === "string"
      ? html`<p class="observation"><${Text} value=${value} max=${2000} /></p>`
      : html`<${Tree} value=${value} label=${`${name} of the action`} />`}`;
}
