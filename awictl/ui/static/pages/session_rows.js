// The columns of the list of sessions.

import {html} from "../vendor/preact-htm.js";
import {Link, sessionUrl} from "../frame/router.js";
import {visible} from "../widgets/text.js";
import {Ago, Countdown, formatBytes, formatCount} from "../widgets/time.js";

const TOTAL = "all that were ever recorded, also those that were trimmed: `total` in filters";

/** The columns, each with the name to sort by, and whether the largest is first then. */
export const COLUMNS = [
  {key: "session", title: "Session", sort: "id"},
  {key: "agent", title: "Agent", sort: "agent"},
  {key: "route", title: "Route", sort: "route"},
  {key: "actions", title: "Actions", help: TOTAL, sort: "actions", largest: true, className: "number"},
  {key: "failed", title: "Failed", sort: "failed", largest: true, className: "number"},
  {key: "activity", title: "Activity", sort: "activity", largest: true, className: "number"},
  {key: "ttl", title: "TTL", sort: "ttl", className: "number"},
  {key: "bytes", title: "Size", sort: "bytes", largest: true, className: "number"},
  {key: "state", title: "State", sort: "state"},
];

const BADGES = {live: "ok", ending: "warn", expired: "warn", vanished: "error", unreadable: "error", gone: "warn"};
const HELP = {
  ending: "its end is recorded; it is kept until it has been archived",
  ended: "its end is recorded",
  expired: "it expired without an end",
  vanished: "another program deleted it",
  gone: "it is not in Redis any more; the archive is looked at next",
  archived: "it is in the archive",
};

/** What became of a session, in a word: `live`, `archived`, `expired` and so on. */
function stateOf(row) {
  return row.place === "archived" && ["ended", "live"].includes(row.state) ? "archived" : row.state;
}

/** An id of which the middle is cut if there is too little space. */
function Id({id}) {
  const text = visible(id);
  const end = text.length > 16 ? text.slice(-6) : "";
  return html`<bdi class="id"><span>${text.slice(0, text.length - end.length)}</span>${end && html`<span>${end}</span>`}</bdi>`;
}

/** The content of the cells of a session, by the key of the column. */
export function sessionCells(row) {
  const agent = row.agent_name || row.agent_id;
  return {
    session: html`<${Link} href=${sessionUrl(row.session_id)} tabindex="-1" class="mono" title=${visible(row.session_id)}><${Id} id=${row.session_id} /></${Link}>`,
    agent: agent && html`<bdi title=${visible(row.agent_id ?? agent)}>${visible(agent)}</bdi>`,
    route: row.error
      ? html`<bdi class="error" title=${visible(row.error)}>${visible(row.error)}</bdi>`
      : row.route && html`<bdi title=${visible(row.route)}>${visible(row.route)}</bdi>`,
    actions: formatCount(row.total_actions),
    failed:
      row.failed_actions > 0
        ? html`<strong class="error" title="failed actions">${formatCount(row.failed_actions)} ✕</strong>`
        : formatCount(row.failed_actions),
    activity: html`<${Ago} iso=${row.last_activity} />`,
    ttl: html`<${Countdown} until=${row.until} />`,
    bytes: formatBytes(row.bytes),
    state: html`<span class=${`badge ${BADGES[stateOf(row)] ?? ""}`} title=${HELP[stateOf(row)]}>${stateOf(row)}</span>`,
  };
}

/** The class of a session's row: whether it needs a look, and whether it has just changed. */
export function sessionClass(row) {
  return `${row.error || row.failed_actions > 0 ? "failed" : ""} ${row.changed ? "changed" : ""} ${row.place}`;
}
