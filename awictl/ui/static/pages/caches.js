// The page "Caches".

import {html} from "../vendor/preact-htm.js";

/** The page. */
export function CachesPage() {
  return html`<h1>Caches</h1>`;
}
