// The page "Session".

import {html} from "../vendor/preact-htm.js";

/** The page. */
export function SessionPage() {
  return html`<h1>Session</h1>`;
}
