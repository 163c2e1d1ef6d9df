// A table of the fields in which two states, or two actions, differ.

import {html} from "../vendor/preact-htm.js";
import {Text} from "../widgets/text.js";
import {formatCount} from "../widgets/time.js";

/** The fields; nothing if there are none. `changes`: `{fields, total}`, and perhaps `{unknown, unknown_total}`. */
export function FieldChanges({changes, label}) {
  if (!changes) return null;
  const {fields, total, unknown = [], unknown_total: unknownTotal = 0} = changes;
  return html`
    ${fields.length > 0 &&
    html`<table class="changes">
      <caption class="visually-hidden">
        ${label}
      </caption>
      <thead>
        <tr>
          <th scope="col">Field</th>
          <th scope="col">First</th>
          <th scope="col">Second</th>
        </tr>
      </thead>
      <tbody>
        ${fields.map(
          (one) => html`<tr key=${one.pointer}>
            <th scope="row"><${Text} value=${one.pointer || "(all of it)"} /></th>
            <td><${Value} value=${one.first} /></td>
            <td><${Value} value=${one.second} /></td>
          </tr>`,
        )}
      </tbody>
    </table>`}
    ${total > fields.length && html`<p class="muted">${formatCount(total - fields.length)} more fields differ.</p>`}
    ${unknown.length > 0 &&
    html`<details>
      <summary>Not known: ${formatCount(unknownTotal)} field${unknownTotal === 1 ? "" : "s"}</summary>
      <ul>
        ${unknown.map((one) => html`<li key=${one}><${Text} value=${one || "any other field"} /></li>`)}
        ${unknownTotal > unknown.length && html`<li>and ${formatCount(unknownTotal - unknown.length)} more</li>`}
      </ul>
    </details>`}
  `;
}

function Value({value}) {
  return value === null ? html`<span class="muted">(absent)</span>` : html`<code><${Text} value=${value} /></code>`;
}
