// What is wrong, and what is being done about it.

import {html} from "../vendor/preact-htm.js";
import {Text} from "./text.js";

/** A notice on the page. `kind`: "info", "warn" or "error". */
export function Notice({kind = "info", children}) {
  return html`<div class=${`notice ${kind}`} role=${kind === "error" ? "alert" : "status"}>${children}</div>`;
}

/** An error of the API: what happened, and a button to try again if `onRetry` is given. */
export function Problem({error, onRetry}) {
  return html`<${Notice} kind="error">
    <strong><${Text} value=${error.title || "Error"} /></strong>: <${Text} value=${error.detail || error.message} max=${2000} />
    ${onRetry && html` <button type="button" onClick=${onRetry}>Try again</button>`}
  </${Notice}>`;
}

/** Whether a stream of events is connected; nothing while it is. */
export function StreamState({state}) {
  if (state !== "lost") return null;
  return html`<${Notice} kind="warn">The inspector does not answer. Trying again…</${Notice}>`;
}
