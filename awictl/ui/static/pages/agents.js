// The page "Agents".

import {html} from "../vendor/preact-htm.js";

/** The page. */
export function AgentsPage() {
  return html`<h1>Agents</h1>`;
}
