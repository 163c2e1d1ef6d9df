// The page "Sessions".

import {html} from "../vendor/preact-htm.js";

/** The page. */
export function SessionsPage() {
  return html`<h1>Sessions</h1>`;
}
