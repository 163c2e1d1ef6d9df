// What the list of agents and the page of one agent have in common.

import {html} from "../vendor/preact-htm.js";
import {Text} from "../widgets/text.js";
import {formatDate} from "../widgets/time.js";

const KINDS = {active: "ok", suspended: "warn", revoked: "error", expired: "error"};

/** The expression of `session list --where` for the sessions of an agent. */
export function sessionsOf(id) {
  return `agent_id == "${id.replace(/["\\]/g, "\\$&")}"`;
}

/** The state of an agent; until when it is suspended, and why. */
export function StateBadge({agent}) {
  const {state, suspended_until: until, suspension_reason: reason} = agent;
  const badge = html`<span class=${`badge ${KINDS[state] ?? ""}`}>${state}</span>`;
  if (state !== "suspended") return badge;
  return html`${badge} <span class="muted"
      >${until ? `until ${formatDate(until)} UTC` : "until resumed"}${reason &&
      html`: <${Text} value=${reason} max=${120} />`}</span
    >`;
}
