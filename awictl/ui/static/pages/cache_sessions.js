// Links from a cached query to its sessions.

import {html} from "../vendor/preact-htm.js";
import {Link, sessionUrl} from "../frame/router.js";
import {Text} from "../widgets/text.js";
import {formatCount} from "../widgets/time.js";

/** Links to the first sessions that have an entry as their query. */
export function SessionLinks({row, most}) {
  if (!row.session_count) return html`<span class="muted">none</span>`;
  const named = row.sessions.slice(0, most);
  const others = row.session_count - named.length;
  return html`${named.map(
    (id) => html`<${Link} key=${id} href=${sessionUrl(id)} class="mono"><${Text} value=${id} max=${80} /></${Link}> `,
  )}${others > 0 && html`<span class="muted">and ${formatCount(others)} more</span>`}`;
}
