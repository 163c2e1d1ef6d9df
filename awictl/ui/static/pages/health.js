// The page "Health".

import {html} from "../vendor/preact-htm.js";

/** The page. */
export function HealthPage() {
  return html`<h1>Health</h1>`;
}
