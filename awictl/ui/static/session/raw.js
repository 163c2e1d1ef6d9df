// The stored string of a session, on demand.

import {html, useState} from "../vendor/preact-htm.js";
import {Problem} from "../widgets/notices.js";
import {Text} from "../widgets/text.js";

/** Characters that are shown at first. */
const SHOWN = 20000;

/** A button, and the string that `load()` returns. */
export function Raw({load}) {
  const [found, setFound] = useState(null);
  const read = async () => {
    setFound({loading: true});
    try {
      setFound({text: await load()});
    } catch (error) {
      setFound({error});
    }
  };
  return html`<section class="raw" aria-labelledby="raw-title">
    <h2 id="raw-title">Stored string</h2>
    <button type="button" onClick=${read} disabled=${found?.loading}>
      ${found?.text === undefined ? "Load the stored string" : "Load it again"}</button>
    ${found?.error && html`<${Problem} error=${found.error} />`}
    ${found?.text !== undefined && html`<pre tabindex="0" aria-label="Stored string"><${Text} value=${found.text}
      max=${SHOWN} /></pre>`}
  </section>`;
}
