// The state after a step.

import {html, useMemo, useReducer, useRef, useState} from "../vendor/preact-htm.js";
import {CopyButton} from "../widgets/copy.js";
import {stringify, valueAt} from "../document/json.js";
import {Notice} from "../widgets/notices.js";
import {Text} from "../widgets/text.js";
import {Tree} from "../widgets/tree.js";
import {Expansion} from "../widgets/tree_state.js";
import {isBookkeeping} from "./changes.js";
import {brief, plural} from "./pointers.js";

/** Changes that are listed at first, and at most. */
const CHANGES = 8;
const MOST_CHANGES = 200;

/** The state as a tree. `found`: what `stepState` returns. */
export function StatePanel({found, row}) {
  const {changes, state} = found;
  const expansion = useRef(null);
  expansion.current ??= new Expansion();
  const [, update] = useReducer((count) => count + 1, 0);
  const [onlyChanged, setOnlyChanged] = useState(false);
  const [cut, setCut] = useState(false);
  const all = (open) => {
    setCut(open && expansion.current.openAll(state.head));
    if (!open) expansion.current.closeAll();
    update();
  };
  return html`<section class="state" aria-labelledby="state-title">
    <h2 id="state-title">State after action ${row.ordinal}</h2>
    ${state.error && html`<${Notice} kind="error"><${Text} value=${state.error} max=${500} /></${Notice}>`}
    ${state.conflicts.length > 0 && html`<p class="notice warn">Not sure: the present state does not fit the actions in
      ${" "}${plural(state.conflicts.length, "field")}. Shown is what the actions say.</p>`}
    <div class="toolbar">
      <label><input type="checkbox" checked=${onlyChanged}
        onChange=${(event) => setOnlyChanged(event.target.checked)} /> only changed</label>
      <button type="button" class="small" onClick=${() => all(true)}>expand all</button>
      <button type="button" class="small" onClick=${() => all(false)}>collapse all</button>
      <${CopyButton} text=${() => stringify(state.head, 2)} label="copy the state as JSON" />
    </div>
    ${cut && html`<${Notice}>There is more than is expanded at once; open the rest by hand.</${Notice}>`}
    ${useMemo(() => html`<${Tree} value=${state.head} changes=${changes} unknown=${state.unknown} label="State"
      conflicts=${state.conflicts} onlyChanged=${onlyChanged} expansion=${expansion.current} />`,
      [state.head, changes, onlyChanged, expansion.current.revision])}
    ${onlyChanged && !changes.size && html`<p class="muted">Nothing changed.</p>`}
  </section>`;
}

/** The changes of a step in a list; those that every action makes are left out. `found`: as for the state. */
export function ChangesPanel({found}) {
  const {changes, state, note} = found;
  const [all, setAll] = useState(false);
  return useMemo(() => {
    const places = [...changes.keys()].filter((place) => !isBookkeeping(place));
    const shown = places.slice(0, all ? MOST_CHANGES : CHANGES);
    const rest = places.length - shown.length;
    return html`<section class="changes" aria-labelledby="changes-title">
      <h2 id="changes-title">Changes</h2>
      ${note && html`<p class="notice warn">${note}</p>`}
      <p>${summary(places, changes, state.unknown)}</p>
      <ul>${shown.map((place) => html`<${Change} key=${place} place=${place} change=${changes.get(place)}
        value=${valueAt(state.head, place)} />`)}</ul>
      ${rest > 0 && (all
        ? html`<p class="muted">${plural(rest, "more change")}: see the state.</p>`
        : html`<button type="button" class="small" onClick=${() => setAll(true)}>show ${rest} more</button>`)}
    </section>`;
  }, [found, all]);
}

function Change({place, change, value}) {
  const text = (one) => html`<span class="mono"><${Text} value=${brief(one, 80)} max=${100} /></span>`;
  const {kind, was} = change;
  return html`<li class=${kind}><code><${Text} value=${place} max=${200} /></code>
    ${" "}<span class=${`badge ${kind}`}>${kind === "unknown" ? "unknown before or after" : kind}</span>
    ${" "}${was !== undefined && text(was)}${was !== undefined && value !== undefined && html`<span
      aria-label="is now"> → </span>`}${value !== undefined && text(value)}</li>`;
}

/** How many fields changed, by kind, in words. */
function summary(places, changes, unknown) {
  const counts = {added: 0, changed: 0, removed: 0, unknown: 0};
  for (const place of places) counts[changes.get(place).kind] += 1;
  const words = {added: "added", changed: "changed", removed: "removed", unknown: "not known before or after"};
  const parts = Object.keys(counts).filter((kind) => counts[kind]).map((kind) => `${counts[kind]} ${words[kind]}`);
  const missing = unknown.length ? `; in the state, ${plural(unknown.length, "field is", "fields are")} not known` : "";
  return `${parts.join(", ") || "No field changed"}${missing}.`;
}
