// The page "Compare": two sessions side by side, and where they diverge.

import {html, useEffect, useState} from "../vendor/preact-htm.js";
import {subscribe} from "../frame/api.js";
import {Commands} from "../widgets/copy.js";
import {useLoaded} from "../frame/loaded.js";
import {Notice, Problem} from "../widgets/notices.js";
import {Link, navigate, pageUrl, pathOf, sessionUrl} from "../frame/router.js";
import {Text, visible} from "../widgets/text.js";
import {Ago, formatCount, formatTime} from "../widgets/time.js";
import {FieldChanges} from "./compare_fields.js";
import {RunLines, anchorOf, indexOf} from "./compare_lines.js";
import {sentences, statesSentence, summary} from "./compare_text.js";

const DEGRADED_MS = 3000;
const OTHERS = 10;

/** The page. */
export function ComparePage({location}) {
  const {a = "", b = "", all = ""} = location.query;
  return html`
    <h1>Compare two sessions</h1>
    <${CompareForm} key=${`${a} ${b}`} a=${a} b=${b} />
    ${a && b
      ? html`<${Comparison} key=${`${a} ${b}`} a=${a} b=${b} all=${all === "1"} hash=${location.hash} />`
      : html`<p class="muted">
          Enter the ids of two sessions, live or archived. Their actions are aligned, and what differs is shown.
        </p>`}
  `;
}

function CompareForm({a, b}) {
  const [ids, setIds] = useState([a, b]);
  const [wanted, setWanted] = useState(Boolean(a && !b));
  const suggested = useSuggestions(wanted);
  const open = (event) => {
    event.preventDefault();
    const [first, second] = ids.map((one) => one.trim());
    if (first && second) navigate(pageUrl("/compare", {a: first, b: second}));
  };
  const field = (at, label) => html`<label>
    ${label}
    <input
      name=${"ab"[at]}
      value=${ids[at]}
      list="session-ids"
      placeholder="sess_…"
      autocomplete="off"
      spellcheck=${false}
      required
      onFocus=${() => setWanted(true)}
      onInput=${(event) => setIds(ids.map((one, other) => (other === at ? event.target.value : one)))}
    />
  </label>`;
  return html`<form class="compare-form" onSubmit=${open}>
    <div class="toolbar">
      ${field(0, "First")} ${field(1, "Second")}
      <button type="submit">Compare</button>
      <button type="button" disabled=${!a || !b} onClick=${() => navigate(pageUrl("/compare", {a: b, b: a}))}>
        Swap
      </button>
    </div>
    ${a && !b && html`<${Others} a=${a} rows=${suggested} />`}
    <datalist id="session-ids">
      ${suggested.map(
        (one) => html`<option key=${one.session_id} value=${one.session_id}>
          ${visible(one.agent_name ?? one.agent_id ?? "")}
        </option>`,
      )}
    </datalist>
  </form>`;
}

/** Sessions to compare one with: those of the same agent first. */
function Others({a, rows}) {
  const agent = rows.find((one) => one.session_id === a)?.agent_id;
  const others = rows.filter((one) => one.session_id !== a);
  const shown = [
    ...others.filter((one) => one.agent_id === agent),
    ...others.filter((one) => one.agent_id !== agent),
  ].slice(0, OTHERS);
  if (!shown.length) return null;
  return html`<p>Compare <${Text} value=${a} /> with</p>
    <ul class="others">
      ${shown.map(
        (one) => html`<li key=${one.session_id}>
          <${Link} href=${pageUrl("/compare", {a, b: one.session_id})}>
            <${Text} value=${one.session_id} max=${80} />
          </${Link}> ${" "}
          <span class="muted">
            <${Text} value=${one.agent_name ?? one.agent_id ?? "-"} max=${80} />, ${" "}
            <${Ago} iso=${one.last_activity} />
          </span>
        </li>`,
      )}
    </ul>`;
}

/** The sessions with the latest activity, once they are wanted. */
function useSuggestions(wanted) {
  const [rows, setRows] = useState([]);
  useEffect(() => {
    if (!wanted) return undefined;
    let close = () => {};
    const onEvent = (name, value) => {
      if (name === "window" && Array.isArray(value.rows)) setRows(value.rows);
      if (name !== "window" || value.complete) close();
    };
    close = subscribe("/api/sessions/events", {limit: 50}, {onEvent});
    return () => close();
  }, [wanted]);
  return rows;
}

function Comparison({a, b, all, hash}) {
  const [part, setPart] = useState(() => anchorOf(hash));
  const params = {a, b, all: all ? 1 : "", ...part};
  const {value, error, busy, again} = useLoaded("/api/compare", params, ({first, second}) =>
    first.degraded || second.degraded ? DEGRADED_MS : null,
  );
  const load = (wanted) => setPart({...wanted, version: value.version});
  const compareAgain = () => setPart((before) => ({...anchorOf(hash), again: (before.again ?? 0) + 1}));
  const showAll = (wanted, fragment) => {
    load(anchorOf(fragment));
    navigate(pageUrl("/compare", {a, b, all: wanted ? 1 : ""}, fragment), {replace: true});
  };
  const [anchor] = Object.entries(anchorOf(hash));
  const isLost = !busy && value && anchor && part[anchor[0]] === anchor[1] && indexOf(value.lines, hash) < 0;
  const unfold = (fragment) => showAll(true, fragment);
  return html`
    ${error && html`<${Problem} error=${error} onRetry=${again} />`}
    ${!value && !error && html`<p role="status" aria-busy="true">Comparing…</p>`}
    ${value &&
    html`
      <${Sides} ids=${[a, b]} found=${value} />
      <${Outcome} found=${value} />
      <${Commands} lines=${commands(a, b, value)} />
      <section aria-labelledby="actions">
        <h2 id="actions">Actions</h2>
        ${isLost && html`<${Notice} kind="warn">The action that the address names is not known.</${Notice}>`}
        <${RunLines} ids=${[a, b]} found=${value} hash=${hash} busy=${busy} onPart=${load} onUnfold=${unfold}>
          <label>
            <input type="checkbox" checked=${all} onChange=${(event) => showAll(event.target.checked, hash)} />
            show all equal actions
          </label>
          <button type="button" onClick=${compareAgain}>Compare again</button>
          <span class="muted">compared at ${formatTime(value.compared_at).slice(0, 8)} UTC</span>
        </${RunLines}>
      </section>
      <section aria-labelledby="end">
        <h2 id="end">The states after the last actions</h2>
        <p>${statesSentence(value.states_at_end, "After the last actions", "are")}</p>
        <${FieldChanges} changes=${value.states_at_end} label="How the last states differ" />
      </section>
    `}
  `;
}

function commands(a, b, {divergence}) {
  const at = [divergence?.steps.first?.ordinal, divergence?.steps.second?.ordinal];
  const shown = [a, b].flatMap((id, side) =>
    at[side] === undefined ? [] : [["awictl", "session", "show", id, "--at", String(at[side])]],
  );
  return [
    ["awictl", "session", "compare", a, b],
    ["awictl", "session", "compare", a, b, "-o", "json"],
    ...shown,
  ];
}

function Sides({ids, found}) {
  return html`<div class="sides">
    <${Side} label="First" id=${ids[0]} side=${found.first} ordinal=${found.divergence?.steps.first?.ordinal} />
    <${Side} label="Second" id=${ids[1]} side=${found.second} ordinal=${found.divergence?.steps.second?.ordinal} />
  </div>`;
}

function Side({label, id, side, ordinal}) {
  const missing = side.gaps.map(({from, to}) =>
    to === null ? `an unknown number before ${from}` : from === to ? String(from) : `${from} to ${to}`,
  );
  return html`<section class="side" aria-label=${`${label} session`}>
    <h2>
      ${label}: <${Link} href=${sessionUrl(id, ordinal)}><${Text} value=${side.session_id} /></${Link}>
    </h2>
    <p>
      <span class="badge">${side.place}</span> ${formatCount(side.total)} action${side.total === 1 ? "" : "s"}
      ${typeof side.agent_id === "string" &&
      html`, agent ${" "}<${Link} href=${pathOf("agents", side.agent_id)}
        ><${Text} value=${side.agent_name ?? side.agent_id} max=${80}
      /></${Link}>`}
      ${side.overwritten > 0 && html`, ${formatCount(side.overwritten)} overwritten by another writer`}
    </p>
    ${side.notices.map(
      (one) => html`<${Notice} key=${one} kind=${side.degraded ? "warn" : "info"}>
        <${Text} value=${one} max=${1000} />
      </${Notice}>`,
    )}
    ${missing.length > 0 &&
    html`<${Notice} kind="warn">
      Actions are missing: ${missing.slice(0, 5).join(", ")}
      ${side.gaps_total > 5 && ` and ${formatCount(side.gaps_total - 5)} more gaps`}
    </${Notice}>`}
  </section>`;
}

function Outcome({found}) {
  return html`<section aria-label="Result" class="result">
    ${sentences(found).map((one) => html`<p>${one}</p>`)}
    ${found.divergence &&
    html`<${FieldChanges} changes=${found.states_before} label="How the states differed before the divergence" />`}
    <p><strong>${summary(found)}</strong></p>
  </section>`;
}
