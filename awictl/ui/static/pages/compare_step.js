// An action of one run beside one of the other, with all that is recorded of them.

import {html} from "../vendor/preact-htm.js";
import {parseJson, stringify} from "../document/json.js";
import {useLoaded} from "../frame/loaded.js";
import {Problem} from "../widgets/notices.js";
import {Link, sessionUrl} from "../frame/router.js";
import {Text} from "../widgets/text.js";
import {FieldChanges} from "./compare_fields.js";

// parts that are shown in another way
const SHORT = ["timestamp", "success"];

/** The actions of a line in full. */
export function StepDetails({ids: [a, b], line: {first, second}, version}) {
  const params = {a, b, first: first?.name, second: second?.name, version};
  const {value, error, again} = useLoaded("/api/compare/step", params);
  if (error) return html`<${Problem} error=${error} onRetry=${again} />`;
  if (!value) return html`<p role="status" aria-busy="true">Loading…</p>`;
  const sides = [
    ["First", a, first],
    ["Second", b, second],
  ].filter(([, , cell]) => cell);
  return html`<div class="step-details">
    <p class="toolbar">
      ${sides.map(
        ([label, id, cell]) => html`<${Link} key=${label} href=${sessionUrl(id, cell.ordinal)}>
          ${label}: the session at action ${cell.ordinal}
        </${Link}>`,
      )}
    </p>
    <${Times} part=${value.parts.find((one) => one.name === "timestamp")} />
    <${FieldChanges} changes=${value.changes} label="How the actions differ" />
    ${value.parts
      .filter(({name}) => !SHORT.includes(name))
      .map((part) => html`<${Part} key=${part.name} part=${part} both=${first && second} />`)}
  </div>`;
}

function Part({part: {name, first, second, equal}, both}) {
  const shown = equal || !both ? [first ?? second] : [first, second];
  return html`<h3>${name}${both && ` (${equal ? "equal" : "different"})`}</h3>
    <div class=${shown.length > 1 ? "pair" : ""}>
      ${shown.map((one) =>
        one === null
          ? html`<p class="muted">(absent)</p>`
          : html`<pre tabindex="0" role="group" aria-label=${name}><${Text} value=${pretty(one)} max=${5000} /></pre>`,
      )}
    </div>`;
}

function Times({part}) {
  if (!part) return null;
  const times = [part.first, part.second].filter((one) => one !== null);
  return html`<p class="muted">
    ${times.map(({text}, index) => html`${index > 0 && " and "}<${Text} key=${index} value=${text} max=${40} />`)}
  </p>`;
}

function pretty({text, json}) {
  if (!json) return text;
  try {
    return stringify(parseJson(text), 2);
  } catch {
    return text; // nested too deeply
  }
}
