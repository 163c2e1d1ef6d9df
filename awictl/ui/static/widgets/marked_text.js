// Texts of awictl in which commands stand between backticks.

import {html} from "../vendor/preact-htm.js";
import {CopyButton} from "./copy.js";
import {Text, visible} from "./text.js";

const COMMAND = /^(awictl|redis-cli|systemctl|docker) /;

/**
 * A text whose parts between backticks are code. `commands`: those that are commands can be copied; not for a text that
 * may contain stored strings, which could offer any command.
 */
export function MarkedText({text, commands = false}) {
  const parts = String(text).split("`");
  if (parts.length % 2 === 0) return html`<${Text} value=${text} max=${2000} />`;
  return parts.map((part, index) =>
    index % 2
      ? html`<${Code} key=${index} text=${part} canCopy=${commands && COMMAND.test(part)} />`
      : html`<${Text} key=${index} value=${part} max=${2000} />`,
  );
}

function Code({text, canCopy}) {
  return html`<span class="command"
    ><code><bdi>${visible(text)}</bdi></code>${canCopy &&
    html` <${CopyButton} text=${text} label=${`copy the command ${visible(text)}`} />`}</span
  >`;
}
