// The page of one agent: state, current session, permissions, usage, and what the app recorded about it.

import {html, useState} from "../vendor/preact-htm.js";
import {Commands} from "../widgets/copy.js";
import {stringify} from "../document/json.js";
import {useLoaded} from "../frame/loaded.js";
import {Notice, Problem} from "../widgets/notices.js";
import {Link, pageUrl, pathOf, sessionUrl} from "../frame/router.js";
import {Text} from "../widgets/text.js";
import {Ago, Countdown, formatCount, formatDate, serverTime} from "../widgets/time.js";
import {AgentAudit} from "./agent_audit.js";
import {StateBadge, sessionsOf} from "./agent_parts.js";

const REFRESH_MS = 10000;
const RETRY_MS = 2000;

/** The page. `id`: of the agent, or its name. */
export function AgentPage({id}) {
  const {value, error, again} = useLoaded(pathOf("api/agents", id), {}, ({problems}) =>
    Object.values(problems).some((one) => one.status >= 500) ? RETRY_MS : REFRESH_MS,
  );
  const record = value?.record;
  const agentId = value?.agent_id ?? id;
  return html`
    <p><${Link} href="/agents">All agents</${Link}></p>
    <h1>Agent <${Text} value=${record?.name ?? id} max=${120} /></h1>
    ${error && html`<${Problem} error=${error} onRetry=${again} />`}
    ${!value && !error && html`<p role="status" aria-busy="true">Loading…</p>`}
    ${value &&
    html`
      <div class="toolbar">
        ${record && html`<${StateBadge} agent=${record} />`}
        <button type="button" onClick=${again}>Refresh</button>
      </div>
      ${value.problems.key && html`<${Missing} what="The key is not known" problem=${value.problems.key} />`}
      <${Sessions} id=${agentId} session=${value.session} problem=${value.problems.session} />
      ${record && html`<${Facts} record=${record} />`}
      ${record && html`<${Suspensions} record=${record} />`}
      <${AgentAudit} key=${agentId} id=${agentId} />
      <${Commands} lines=${commands(agentId, record)} />
    `}
  `;
}

function commands(id, record) {
  const stop = record?.state === "suspended" ? "resume" : "suspend";
  return [
    ["awictl", "agent", "show", id],
    ["awictl", "agent", "session", id],
    ["awictl", "session", "list", "--all", "--where", sessionsOf(id)],
    ["awictl", "agent", "audit", id],
    ["awictl", "agent", "events", "--agent", id],
    ...(record && record.state !== "revoked" ? [["awictl", "agent", stop, id]] : []),
  ];
}

function Missing({what, problem}) {
  return html`<${Notice} kind=${problem.status >= 500 ? "error" : "warn"}>
    ${what}: <${Text} value=${problem.detail} max=${1000} />${problem.status >= 500 && " Trying again…"}
  </${Notice}>`;
}

function Sessions({id, session, problem}) {
  const [until] = useUntil(session);
  return html`<section aria-labelledby="sessions">
    <h2 id="sessions">Sessions</h2>
    ${problem && html`<${Missing} what="The current session is not known" problem=${problem} />`}
    ${session &&
    html`<p>
      Current session: ${" "}<${Link} href=${sessionUrl(session.session_id)} class="mono">
        <${Text} value=${session.session_id} />
      </${Link}>
      ${session.exists ? "" : html` <span class="badge error">gone</span>`}
      ${session.degraded && html` <span class="badge warn">degraded: from MongoDB, Redis is unreachable</span>`}
      , the mapping expires in <${Countdown} until=${until} />
    </p>`}
    ${!session &&
    !problem &&
    html`<p class="muted">The agent is not mapped to a session: it may have ended or expired.</p>`}
    <p><${Link} href=${pageUrl("/sessions", {where: sessionsOf(id)})}>All sessions of this agent</${Link}></p>
  </section>`;
}

/** When the mapping expires, in milliseconds of the server's clock; it is computed once for each answer. */
function useUntil(session) {
  const [known, setKnown] = useState({session: null, until: null});
  if (known.session !== session) {
    const until = session === null || session.ttl_ms === null ? null : serverTime() + Number(session.ttl_ms);
    setKnown({session, until});
    return [until];
  }
  return [known.until];
}

function Facts({record}) {
  const own = [
    ["Agent id", html`<span class="mono"><${Text} value=${record.agent_id} /></span>`],
    ["Permissions", record.permissions.join(", ") || "-"],
    ["Rate limit", rateLimit(record)],
    ["Last used", html`<${Ago} iso=${record.last_used_at} />`],
    ["Requests", requests(record)],
    ["Operations", html`<${Counts} counts=${record.operations} />`],
    ["Created", html`${moment(record.created_at)} by ${record.made_by}`],
    ["Expires", record.expires_at === null ? "never" : moment(record.expires_at)],
    ["Description", record.description === null ? "-" : html`<${Text} value=${record.description} max=${500} />`],
  ];
  const app = [
    ["Operations of the app", html`<${Counts} counts=${record.operations_of_app} />`],
    ["Reputation", html`<${Any} value=${record.reputation} />`],
    ["Reputation score", html`<${Any} value=${record.reputation_score} />`],
    ["Violations", html`<${Any} value=${record.violations} />`],
    ["Violations by type", html`<${Counts} counts=${record.violations_by_type} />`],
  ];
  return html`<section aria-labelledby="facts">
    <h2 id="facts">Key and usage</h2>
    <dl class="facts">
      ${[...own, ...(record.made_by === "app" ? app : [])].map(
        ([name, shown]) => html`<div key=${name}><dt>${name}</dt><dd>${shown}</dd></div>`,
      )}
    </dl>
    <p class="muted">The API key itself is never shown.</p>
  </section>`;
}

function rateLimit({requests_per_hour: limit}) {
  return limit === null ? "server default" : `${formatCount(limit)} requests per hour`;
}

function moment(iso) {
  return iso === null ? "-" : html`<time datetime=${iso}>${formatDate(iso)} UTC</time>`;
}

function requests({requests: all, requests_of_app: app, requests_of_awictl: own}) {
  return app === null ? formatCount(all) : `${formatCount(all)} (app ${formatCount(app)}, awictl ${formatCount(own)})`;
}

/** Numbers by name, the largest first. */
function Counts({counts}) {
  if (counts === null || typeof counts !== "object" || Array.isArray(counts)) return html`<${Any} value=${counts} />`;
  const found = Object.entries(counts);
  if (!found.length) return "-";
  const size = ([, value]) => (typeof value === "number" ? value : 0);
  found.sort((one, other) => size(other) - size(one));
  return found.map(
    ([name, value], index) =>
      html`${index > 0 && ", "}<${Text} key=${name} value=${name} max=${80} /> <${Any} value=${value} />`,
  );
}

function Any({value}) {
  if (value === null || value === undefined) return "-";
  if (typeof value === "number") return formatCount(value);
  return html`<${Text} value=${typeof value === "string" ? value : stringify(value)} max=${200} />`;
}

function Suspensions({record: {suspensions, suspensions_total: total}}) {
  if (!suspensions.length) return null;
  const field = (one, name) => (one !== null && typeof one === "object" ? one[name] : null);
  return html`<section aria-labelledby="suspensions">
    <h2 id="suspensions">Suspensions</h2>
    <table>
      <thead>
        <tr>
          <th scope="col">Since</th>
          <th scope="col">Until</th>
          <th scope="col">Reason</th>
        </tr>
      </thead>
      <tbody>
        ${suspensions.map(
          (one, index) => html`<tr key=${index}>
            <td><${Moment} value=${field(one, "suspendedAt")} /></td>
            <td><${Moment} value=${field(one, "suspendedUntil")} /></td>
            <td><${Any} value=${field(one, "reason") ?? (field(one, "suspendedAt") ? null : one)} /></td>
          </tr>`,
        )}
      </tbody>
    </table>
    ${total > suspensions.length &&
    html`<p class="muted">${formatCount(total - suspensions.length)} earlier ones are not shown.</p>`}
  </section>`;
}

function Moment({value}) {
  return html`<${Any} value=${typeof value === "string" ? formatDate(value) : value} />`;
}
