// What the Express app recorded about an agent: its audit log, and security events. Loaded on demand.

import {html, useState} from "../vendor/preact-htm.js";
import {stringify} from "../document/json.js";
import {useLoaded} from "../frame/loaded.js";
import {Problem} from "../widgets/notices.js";
import {pathOf} from "../frame/router.js";
import {Text} from "../widgets/text.js";
import {formatCount, formatDate} from "../widgets/time.js";

// The fields of these documents are not known for certain: the first of several usual names is shown.
const AUDIT = [
  ["Time (UTC)", time],
  ["Operation", firstOf("operation", "action", "event")],
  ["OK", success],
  ["Status", firstOf("statusCode", "status")],
  ["IP", firstOf("ip", "ipAddress", "clientIp")],
  ["Details", firstOf("error", "errorMessage", "message", "endpoint", "path", "details")],
];
const EVENTS = [
  ["Time (UTC)", time],
  ["Severity", firstOf("severity")],
  ["Type", firstOf("type", "eventType", "event")],
  ["Resolved", resolved],
  ["Details", firstOf("description", "message", "details")],
  ["Event", (entry) => html`<span class="mono">${shown(entry._id)}</span>`],
];

/** The sections, closed at first. */
export function AgentAudit({id}) {
  const [open, setOpen] = useState(false);
  const {value, error, again} = useLoaded(open ? pathOf("api/audit", id) : null);
  return html`<details class="audit" onToggle=${(event) => setOpen(event.target.open)}>
    <summary>Audit log and security events of the app</summary>
    ${open && error && html`<${Problem} error=${error} onRetry=${again} />`}
    ${open && !value && !error && html`<p role="status" aria-busy="true">Loading…</p>`}
    ${value && html`
      <${Entries} title="Audit log" columns=${AUDIT} entries=${value.entries} limit=${value.limit} />
      <${Entries} title="Security events" columns=${EVENTS} entries=${value.events} limit=${value.limit} />
    `}
  </details>`;
}

function Entries({title, columns, entries, limit}) {
  return html`<h2>${title}</h2>
    ${entries.length
      ? html`<div class="scroll" tabindex="0" role="region" aria-label=${title}>
          <table>
            <thead>
              <tr>
                ${columns.map(([name]) => html`<th key=${name} scope="col">${name}</th>`)}
              </tr>
            </thead>
            <tbody>
              ${entries.map(
                (entry, index) => html`<tr key=${index}>
                  ${columns.map(([name, show]) => html`<td key=${name}>${show(entry)}</td>`)}
                </tr>`,
              )}
            </tbody>
          </table>
        </div>`
      : html`<p class="muted">Nothing is recorded.</p>`}
    ${entries.length >= limit &&
    html`<p class="muted">The newest ${formatCount(limit)} are shown; there may be more.</p>`}`;
}

function firstOf(...names) {
  return (entry) => {
    const found = names.map((name) => entry[name]).find((one) => !isEmpty(one));
    return found === undefined ? "-" : shown(found);
  };
}

function isEmpty(value) {
  if (value === null || value === undefined || value === "") return true;
  return typeof value === "object" && !Object.keys(value).length;
}

function success(entry) {
  if (typeof entry.success !== "boolean") return "-";
  return entry.success ? "yes" : html`<span class="badge error">no</span>`;
}

function resolved(entry) {
  if (entry.resolved !== true) return html`<span class="badge warn">no</span>`;
  return entry.resolvedAt ? moment(entry.resolvedAt) : "yes";
}

function shown(value) {
  return html`<${Text} value=${typeof value === "string" ? value : stringify(value)} max=${200} />`;
}

function moment(value) {
  return typeof value === "string" ? html`<${Text} value=${formatDate(value)} max=${40} />` : shown(value);
}

/** The time in an entry; if it has none, the time in its id. */
function time(entry) {
  const found = ["timestamp", "createdAt", "time"].map((name) => entry[name]).find((one) => typeof one === "string");
  if (found !== undefined) return moment(found);
  const seconds = /^[0-9a-f]{24}$/.test(entry._id) ? parseInt(entry._id.slice(0, 8), 16) : NaN;
  return Number.isNaN(seconds) ? "-" : formatDate(new Date(seconds * 1000).toISOString());
}
