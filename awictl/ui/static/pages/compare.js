// The page "Compare".

import {html} from "../vendor/preact-htm.js";

/** The page. */
export function ComparePage() {
  return html`<h1>Compare</h1>`;
}
