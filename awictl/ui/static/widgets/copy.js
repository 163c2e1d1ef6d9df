// Commands and values that can be copied.

import {html, useRef, useState} from "../vendor/preact-htm.js";
import {visible} from "./text.js";

/** A word as a POSIX shell reads it. */
export function shellQuote(word) {
  const text = String(word);
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Copy a text. Browsers have no clipboard for pages that come over HTTP from another machine: there, as a selection. */
async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("the browser refuses");
  return undefined;
}

/** A button that copies a text, or what a function returns. `label`: what is copied, for screen readers. */
export function CopyButton({text, label = "copy"}) {
  const [state, setState] = useState("");
  const timer = useRef(null);
  const copy = async () => {
    try {
      await copyText(typeof text === "function" ? text() : text);
      setState("copied");
    } catch {
      setState("select the text and copy it");
    }
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setState(""), 2000);
  };
  return html`<button type="button" class="small copy" aria-label=${label} onClick=${copy}>copy</button
    ><span role="status" class="muted">${state}</span>`;
}

/** A command line that can be copied. `words`: the command and its arguments. */
export function Command({words}) {
  const line = words.map(shellQuote).join(" ");
  return html`<span class="command"
    ><code><bdi>${visible(line)}</bdi></code> <${CopyButton} text=${line} label=${`copy the command ${visible(line)}`}
  /></span>`;
}

/** Several command lines, which are shown on demand. */
export function Commands({lines, title = "The same in a terminal"}) {
  return html`<details class="commands">
    <summary>${title}</summary>
    <ul>
      ${lines.map((words) => html`<li key=${words.join(" ")}><${Command} words=${words} /></li>`)}
    </ul>
  </details>`;
}
