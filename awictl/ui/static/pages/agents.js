// The page "Agents": all agents that have a key, and one agent.

import {html, useEffect, useState} from "../vendor/preact-htm.js";
import {Commands} from "../widgets/copy.js";
import {stringify} from "../document/json.js";
import {useLoaded} from "../frame/loaded.js";
import {Notice, Problem} from "../widgets/notices.js";
import {Link, navigate, pageUrl, pathOf, sessionUrl} from "../frame/router.js";
import {Text} from "../widgets/text.js";
import {Ago, formatCount, formatDate} from "../widgets/time.js";
import {AgentPage} from "./agent.js";
import {StateBadge} from "./agent_parts.js";

const REFRESH_MS = 10000;
const RETRY_MS = 2000;
const TYPING_MS = 200;
const CREATED = "created";

/** The columns: title, what it sorts by, class, and what is shown of an agent. */
const COLUMNS = [
  {
    title: "Agent",
    sort: "name",
    show: (one) => html`<${Link} href=${pathOf("agents", one.agent_id)}><${Text} value=${one.name} max=${80} /></${Link}>
      <br /><span class="muted mono"><${Text} value=${one.agent_id} max=${80} /></span>`,
  },
  {title: "State", sort: "state", show: (one) => html`<${StateBadge} agent=${one} />`},
  {title: "Last used", sort: "last-used", show: (one) => html`<${Ago} iso=${one.last_used_at} />`},
  {
    title: "Current session",
    show: (one) =>
      one.session_id === null
        ? html`<span class="muted">-</span>`
        : html`<${Link} href=${sessionUrl(one.session_id)} class="mono">
            <${Text} value=${one.session_id} max=${40} />
          </${Link}>`,
  },
  {title: "Requests", sort: "requests", number: true, show: (one) => formatCount(one.requests)},
  {
    title: "Per hour",
    number: true,
    show: ({requests_per_hour: limit}) =>
      limit === null ? html`<span class="muted">default</span>` : formatCount(limit),
  },
  {title: "Permissions", show: (one) => one.permissions.join(", ") || "-"},
  {title: "Violations", sort: "violations", number: true, show: (one) => html`<${Known} value=${one.violations} />`},
  {title: "Score", sort: "score", number: true, show: (one) => html`<${Known} value=${one.reputation_score} />`},
  {
    title: "Created",
    sort: CREATED,
    show: (one) => html`<${Day} iso=${one.created_at} /> <span class="muted">by ${one.made_by}</span>`,
  },
  {title: "Expires", show: (one) => html`<${Day} iso=${one.expires_at} />`},
];

/** The page: the list, or the agent with this id. */
export function AgentsPage({id, location}) {
  return id === null ? html`<${AgentList} query=${location.query} />` : html`<${AgentPage} id=${id} />`;
}

function AgentList({query}) {
  const {q = "", state = "", sort = CREATED, reverse = "", offset = ""} = query;
  const params = {q, state, sort, reverse, offset};
  const {value, error, again} = useLoaded("/api/agents", params, ({problem}) =>
    problem ? RETRY_MS : REFRESH_MS,
  );
  const change = (changes) => {
    const wanted = {...params, sort: sort === CREATED ? "" : sort, offset: "", ...changes};
    navigate(pageUrl("/agents", wanted), {replace: true});
  };
  return html`
    <h1>Agents</h1>
    <div class="toolbar" role="search">
      <${SearchField} text=${q} onSearch=${(text) => change({q: text})} />
      <label>
        State
        <select value=${state} onChange=${(event) => change({state: event.target.value})}>
          <option value="">all</option>
          ${[...new Set([...Object.keys(value?.states ?? {}), ...(state ? [state] : [])])].map(
            (one) => html`<option key=${one} value=${one}>${one} (${formatCount(value?.states[one] ?? 0)})</option>`,
          )}
        </select>
      </label>
      <button type="button" onClick=${again}>Refresh</button>
      ${value && html`<span role="status">${counted(value)}</span>`}
    </div>
    ${error && html`<${Problem} error=${error} onRetry=${again} />`}
    ${!value && !error && html`<p role="status" aria-busy="true">Loading…</p>`}
    ${value?.problem && html`<${Notice} kind="warn"><${Text} value=${value.problem} max=${1000} /></${Notice}>`}
    ${value &&
    html`<${AgentTable} agents=${value.agents} sort=${sort} reverse=${reverse === "1"} onChange=${change} />`}
    ${value && html`<${Pager} found=${value} onChange=${change} />`}
    <${Commands} lines=${commands(sort, reverse === "1")} />
  `;
}

function commands(sort, reverse) {
  const usage = ["awictl", "agent", "usage", "--sort", sort];
  return [["awictl", "agent", "list"], ...(sort === CREATED ? [] : [reverse ? [...usage, "--reverse"] : usage])];
}

function counted({matching, total}) {
  const all = `${formatCount(total)} agent${total === 1 ? "" : "s"}`;
  return matching === total ? all : `${formatCount(matching)} of ${all}`;
}

function SearchField({text, onSearch}) {
  const [typed, setTyped] = useState(text);
  useEffect(() => {
    if (typed === text) return undefined;
    const timer = setTimeout(() => onSearch(typed), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return html`<label>
    Name or id
    <input type="search" value=${typed} onInput=${(event) => setTyped(event.target.value)} spellcheck=${false} />
  </label>`;
}

function AgentTable({agents, sort, reverse, onChange}) {
  if (!agents.length) return html`<p class="muted">No agent has a key, or none is found.</p>`;
  // names and states are sorted from a to z, all others from the most, or the latest, to the least
  const order = (column) => (["name", "state"].includes(column.sort) === reverse ? "descending" : "ascending");
  const header = (column) => {
    const className = column.number ? "number" : "";
    if (!column.sort) return html`<th key=${column.title} scope="col" class=${className}>${column.title}</th>`;
    const sorted = column.sort === sort;
    const next = {sort: column.sort === CREATED ? "" : column.sort, reverse: sorted && !reverse ? 1 : ""};
    return html`<th key=${column.title} scope="col" class=${className} aria-sort=${sorted ? order(column) : null}>
      <button type="button" class="link" onClick=${() => onChange(next)}>
        ${column.title}${sorted &&
        html`<span aria-hidden="true">${order(column) === "ascending" ? " ▲" : " ▼"}</span>`}
      </button>
    </th>`;
  };
  return html`<div class="scroll agents" tabindex="0" role="region" aria-label="Agents">
    <table>
      <caption class="visually-hidden">
        Agents that have a key
      </caption>
      <thead>
        <tr>
          ${COLUMNS.map(header)}
        </tr>
      </thead>
      <tbody>
        ${agents.map(
          (one) => html`<tr key=${one.agent_id}>
            ${COLUMNS.map(
              (column) => html`<td key=${column.title} class=${column.number ? "number" : ""}>
                ${column.show(one)}
              </td>`,
            )}
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function Pager({found: {agents, offset, matching}, onChange}) {
  if (agents.length === matching) return null;
  const end = offset + agents.length;
  return html`<p class="toolbar">
    <span>${formatCount(Math.min(offset + 1, end))} to ${formatCount(end)} of ${formatCount(matching)}</span>
    <button type="button" disabled=${!offset} onClick=${() => onChange({offset: Math.max(0, offset - 200)})}>
      Previous
    </button>
    <button type="button" disabled=${end >= matching} onClick=${() => onChange({offset: end})}>Next</button>
  </p>`;
}

function Known({value}) {
  if (value === null || value === undefined) return html`<span class="muted">-</span>`;
  return html`<${Text} value=${typeof value === "object" ? stringify(value) : String(value)} max=${40} />`;
}

function Day({iso}) {
  if (iso === null) return html`<span class="muted">-</span>`;
  return html`<time datetime=${iso} title=${`${formatDate(iso)} UTC`}>${formatDate(iso).slice(0, 10)}</time>`;
}
