// The field for the filter of a list of sessions: an expression as in `awictl session list --where`.

import {html, useEffect, useRef, useState} from "../vendor/preact-htm.js";
import {visible} from "../widgets/text.js";

/** Milliseconds without typing after which the filter applies. */
const TYPING_MS = 400;
const EXAMPLES = ["failed > 0", "ttl < 5m", "idle > 20m", 'agent == "browser-1"', 'state.page_state.route ~ "^/api"'];
const HELP =
  "Fields: session, agent, agent_id, agent_name, route, actions, failed, total, bytes, ttl, idle, started, last_activity, " +
  "status, where, and state.… for those of the document. Operators: == != < <= > >= ~ (a regular expression) in and or not.";
/** Number of characters before and after the place of an error that are shown. */
const AROUND = 30;

/** The field. `value`: the filter that applies; `error`: what is wrong with it; `onChange(where)`: another one applies. */
export function WhereField({value, error, onChange}) {
  const [text, setText] = useState(value);
  const timer = useRef(null);
  const apply = (where) => {
    clearTimeout(timer.current);
    if (where !== value) onChange(where);
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  const onInput = (event) => {
    const where = event.currentTarget.value;
    setText(where);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => apply(where), TYPING_MS);
  };
  const choose = (where) => {
    setText(where);
    apply(where);
  };
  const onSubmit = (event) => {
    event.preventDefault();
    apply(text);
  };
  return html`<form class="where-field" role="search" onSubmit=${onSubmit}>
    <label for="where">Filter</label>
    <input
      id="where"
      type="search"
      class="mono"
      spellcheck=${false}
      autocomplete="off"
      placeholder=${'idle > 20m and agent == "browser-1"'}
      value=${text}
      aria-invalid=${error ? "true" : "false"}
      aria-describedby="where-help"
      onInput=${onInput}
    />
    <div id="where-help">${error ? html`<${WhereError} text=${value} error=${error} />` : html`<${Help} onChoose=${choose} />`}</div>
  </form>`;
}

function Help({onChoose}) {
  return html`<details>
    <summary>How to filter</summary>
    <p>
      ${"For example "}
      ${EXAMPLES.map(
        (one) => html`<button key=${one} type="button" class="small mono" onClick=${() => onChoose(one)}>${one}</button> `,
      )}
    </p>
    <p>
      ${HELP} It is the language of <code>awictl session list --where</code>.
    </p>
  </details>`;
}

/** What is wrong with an expression, and where. */
function WhereError({text, error}) {
  const [, column, message] = /^at column (\d+): ([^]*)$/.exec(error.detail) ?? [null, null, error.detail];
  if (column === null) return html`<p class="error" role="alert">${visible(message)}</p>`;
  const characters = [...text.trim()];
  const at = Number(column) - 1;
  const before = characters.slice(Math.max(0, at - AROUND), at).join("");
  const after = characters.slice(at + 1, at + AROUND).join("");
  return html`<p class="error" role="alert">
    At column ${column}: ${visible(message)}<br />
    <code aria-hidden="true"
      ><bdi>${at > AROUND ? "…" : ""}${visible(before)}<mark>${visible(characters[at] ?? " ")}</mark>${visible(after)}</bdi></code
    >
  </p>`;
}
