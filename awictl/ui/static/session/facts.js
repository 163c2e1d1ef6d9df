// What a session is, above its timeline.

import {html} from "../vendor/preact-htm.js";
import {Commands, CopyButton} from "../widgets/copy.js";
import {isObject} from "../document/json.js";
import {Notice} from "../widgets/notices.js";
import {Link, pageUrl, pathOf} from "../frame/router.js";
import {Text} from "../widgets/text.js";
import {Ago, Countdown, formatBytes, formatCount} from "../widgets/time.js";
import {plural} from "./pointers.js";

/** Gaps that are listed. */
const MOST_GAPS = 4;
const CACHE_PREFIX = "AWI:CACHE:LIST:";

function text(value) {
  return typeof value === "string" && value ? value : null;
}

/** Identity, size and TTL of a session. `present`: `{head, expires, bytes}`, expires in milliseconds since 1970. */
export function Facts({payload, present, linked}) {
  const {head} = present;
  const id = payload.session_id;
  const agent = text(head.agent_id);
  const statistics = isObject(head.statistics) ? head.statistics : {};
  const query = isObject(head.query_cache) ? text(head.query_cache.active_cache_key) : null;
  const forked = isObject(head.forked_from) ? text(head.forked_from.session_id) : null;
  const link = (href, label) => (linked ? html`<${Link} href=${href}>${label}</${Link}>` : label);
  const key = query?.startsWith(CACHE_PREFIX) ? query.slice(CACHE_PREFIX.length) : query;
  const live = payload.place === "live" && !present.gone;
  const facts = [
    ["Agent", html`${agent ? link(pathOf("agents", agent), html`<${Text} value=${agent} max=${80} />`) : "-"}
      ${text(head.agent_name) && html` <span class="muted"><${Text} value=${head.agent_name} max=${80} /></span>`}`],
    ["Route", isObject(head.page_state) && text(head.page_state.route)
      ? html`<${Text} value=${head.page_state.route} max=${120} />` : "-"],
    ["Place", html`<span class=${`badge ${live ? "ok" : ""}`}>${present.gone ? "gone" : payload.place}</span>`],
    live && ["Expires in", html`<${Countdown} until=${present.expires} />`],
    ["Last update", text(head.last_updated) ? html`<${Ago} iso=${head.last_updated} />` : "-"],
    ["Actions", html`${count(statistics.total_actions)}, ${count(statistics.failed_actions)} failed`],
    ["Missing", missing(payload)],
    ["Size", formatBytes(present.bytes)],
    key && ["Query", link(pageUrl(pathOf("caches", key), {session: id}),
      html`<code><${Text} value=${key} max=${64} /></code>`)],
    forked && ["Forked from", link(pathOf("sessions", forked), html`<${Text} value=${forked} max=${80} />`)],
    linked && ["See also", html`${agent && html`<${Link} href=${pageUrl("/sessions",
      {where: `agent == ${JSON.stringify(agent)}`})}>sessions of this agent</${Link}>, `}
      <${Link} href=${pageUrl("/compare", {a: id})}>compare</${Link}>`],
  ];
  return html`<header class="facts">
    <h1><span class="muted">Session</span> <${Text} value=${id} max=${100} />
      ${" "}<${CopyButton} text=${id} label="copy the session id" /></h1>
    ${payload.origin && html`<${Notice} kind=${payload.degraded ? "warn" : "info"}><${Text} value=${payload.origin}
      max=${1000} /></${Notice}>`}
    ${(payload.notices ?? []).map((one) => html`<${Notice} key=${one} kind="warn"><${Text} value=${one} max=${1000}
      /></${Notice}>`)}
    ${linked && payload.redacted && html`<${Notice}>Redacted values: <${Text} value=${redactedText(payload.redacted)}
      /></${Notice}>`}
    <dl>${facts.map((one) => one?.[1] && html`<div key=${one[0]}><dt>${one[0]}</dt><dd>${one[1]}</dd></div>`)}</dl>
  </header>`;
}

/** What was redacted; the offline file says that in its banner. */
function redactedText({values, pointers}) {
  const kinds = Object.entries(values).map(([kind, one]) => `${kind} ${one.values}`);
  const at = pointers.length ? `; values at ${pointers.join(", ")} wherever they occur` : "";
  return `${kinds.join(", ") || "none found"}${at}.`;
}

/** How many actions are missing, and which; null if none is. */
function missing({gaps, breaks}) {
  const number = gaps.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  const ranges = gaps.slice(0, MOST_GAPS).map(([first, last]) => (first === last ? first : `${first}–${last}`));
  if (gaps.length > MOST_GAPS) ranges.push("…");
  const counted = number > 0 && `${plural(number, "action")} (${ranges.join(", ")})`;
  const uncounted = breaks.length > 0 && "unknown how many others";
  return [counted, uncounted].filter(Boolean).join(", ") || null;
}

function count(value) {
  return typeof value === "number" || typeof value === "bigint" ? formatCount(value) : "-";
}

/** The commands that show in a terminal what is on the page. */
export function SessionCommands({id, row, live, archived}) {
  const at = row && !row.overwritten ? row.ordinal : null;
  const session = (verb, ...rest) => ["awictl", "session", verb, id, ...rest];
  return html`<${Commands} lines=${[
    session("show", ...(at === null ? [] : ["--at", at])),
    at !== null && at > 0 && session("diff", "--from", at - 1, "--to", at),
    session("replay", ...(at === null ? [] : ["--from", at])),
    live && session("watch"),
    session("verify"),
    archived && ["awictl", "archive", "show", id],
    session("fork", ...(at === null ? [] : ["--at", at])),
    session("export", "--html", `${id}.html`),
  ].filter(Boolean)} />`;
}
