// The state after a step.

import {html, useMemo, useReducer, useRef, useState} from "../vendor/preact-htm.js";
import {CopyButton} from "../copy.js";
import {stringify} from "../json.js";
import {Notice} from "../notices.js";
import {Text} from "../text.js";
import {Tree} from "../tree.js";
import {Expansion} from "../tree_state.js";
import {isBookkeeping} from "./changes.js";
import {plural} from "./pointers.js";

/** The state as a tree. `found`: `{changes, state, note}` of the step. */
export function StatePanel({found, row}) {
  const {changes, state, note} = found;
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
    ${note && html`<p class="notice warn">${note}</p>`}
    ${state.conflicts.length > 0 && html`<p class="notice warn">
      ${plural(state.conflicts.length, "field does", "fields do")} not fit the actions: something else than an action
      changed the present state, or an action is missing.</p>`}
    <div class="toolbar">
      <span class="summary"><${Summary} changes=${changes} unknown=${state.unknown} /></span>
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

/** How many fields changed, by kind; those that every action changes are not counted. */
function Summary({changes, unknown}) {
  return useMemo(() => {
    const counts = {};
    for (const [place, {kind}] of changes) {
      if (!isBookkeeping(place)) counts[kind] = (counts[kind] ?? 0) + 1;
    }
    const parts = Object.entries(counts).map(([kind, count]) => `${count} ${kind}`);
    const missing = unknown.length ? `; ${plural(unknown.length, "field")} not known` : "";
    return `${parts.join(", ") || "no change"}${missing}`;
  }, [changes, unknown]);
}
