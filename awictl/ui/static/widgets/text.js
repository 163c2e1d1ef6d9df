// Stored strings as text: isolated from the text around them, with everything invisible made visible.

import {html, useState} from "../vendor/preact-htm.js";

// control characters, soft hyphen, zero width and bidi controls, line separators, lone surrogates, tags; and combining
// marks after so many others that they would cover the text around them
const HIDDEN = new RegExp(
  "(?:[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb" +
    "\\u{e0000}-\\u{e007f}]|[\\ud800-\\udfff]|(?<=\\p{M}{6})\\p{M})+",
  "gu",
);

/** Number of characters of a string that are shown at first. */
export const SHOWN = 300;
/** Number of characters that are shown at most, even on demand. */
export const MOST = 200000;

function escaped(characters) {
  return Array.from(characters, escapedOne).join("");
}

function escapedOne(character) {
  const code = character.codePointAt(0);
  if (code > 0xffff) return `\\u{${code.toString(16)}}`;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

/** The string with everything invisible as an escape: for titles, labels, and what is not markup. */
export function visible(text) {
  return String(text).replace(HIDDEN, escaped);
}

/** The parts of a string: plain ones, and escapes of what is invisible. */
function parts(text) {
  const found = [];
  let end = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > end) found.push(text.slice(end, match.index));
    found.push(html`<span class="escape" title="invisible characters">${escaped(match[0])}</span>`);
    end = match.index + match[0].length;
  }
  if (end < text.length) found.push(text.slice(end));
  return found;
}

/** A stored string. Beyond `max` characters, the rest is shown on demand. */
export function Text({value, max = SHOWN}) {
  const [all, setAll] = useState(false);
  const text = typeof value === "string" ? value : String(value);
  const limit = all ? MOST : max;
  const shown = text.length > limit ? text.slice(0, limit).replace(/[\ud800-\udbff]$/, "") : text;
  return html`<bdi class="text">${parts(shown)}</bdi>${shown.length < text.length &&
  html`<span class="cut">… ${" "}${all
    ? `${(text.length - shown.length).toLocaleString("en")} more characters`
    : html`<button type="button" class="small" onClick=${() => setAll(true)}>
        show all ${text.length.toLocaleString("en")} characters
      </button>`}</span>`}`;
}
