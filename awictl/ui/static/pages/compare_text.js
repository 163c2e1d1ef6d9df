// What is said of two runs, in the words of `awictl session compare`.

import {html} from "../vendor/preact-htm.js";
import {Text} from "../widgets/text.js";
import {formatCount} from "../widgets/time.js";

const INPUT_CHARACTERS = 80;

/** Where two runs diverge, an action with another outcome, and how the states differed before: a list of sentences. */
export function sentences(found) {
  const {divergence, other_outcome: outcome} = found;
  const said = [];
  if (!divergence) {
    said.push(found.lines.length ? "Both runs have the same actions." : "Neither run has an action.");
  } else {
    said.push(html`The first divergence is at ${where(divergence.steps)}: ${parted(divergence.steps)}.`);
  }
  if (outcome) {
    const fields = outcome.differs.join(", ");
    said.push(
      html`The first action with another outcome is ${where(outcome)}, ${did(outcome.first)}: it differs in ${fields}.`,
    );
  }
  if (divergence) said.push(statesSentence(found.states_before, "Just before the divergence", ""));
  return said;
}

/** How two states differ. `verb`: "are", or "" for the past. */
export function statesSentence(states, when, verb) {
  if (!states) {
    return verb ? "The states there are not known." : "The states just before the divergence are not known.";
  }
  const unknown = states.unknown_total;
  const partly = unknown
    ? `, as far as they are known (${formatCount(unknown)} field${unknown === 1 ? " is" : "s are"} not)`
    : "";
  const [differ, same] = verb ? ["differ", "are equal"] : ["differed", "were equal"];
  return states.total
    ? `${when}, the states ${differ} in these fields${partly}:`
    : `${when}, the states ${same}${partly}.`;
}

function parted({first, second}) {
  if (!first) return html`the second did ${did(second)}, the first has no more actions`;
  if (!second) return html`the first did ${did(first)}, the second has no more actions`;
  return html`the first did ${did(first)}, the second ${did(second)}`;
}

/** The numbers of the actions of a line. */
export function where({first, second}) {
  const [one, other] = [first?.ordinal, second?.ordinal];
  if (one === undefined || other === undefined || one === other) return `action ${one ?? other}`;
  return `action ${one} of the first and ${other} of the second`;
}

/** The name and the input of an action. */
export function did({action, input}) {
  return html`<span class="did"
    ><${Text} value=${action} max=${80} />${input !== null &&
    html` <code><${Text} value=${input} max=${INPUT_CHARACTERS} /></code>`}</span
  >`;
}

/** How many actions are equal, and whether there may be more. */
export function summary({counts, exact}) {
  const parts = [
    `${formatCount(counts.equal)} equal`,
    `${formatCount(counts.outcome)} with another outcome`,
    `${formatCount(counts.first)} only in the first`,
    `${formatCount(counts.second)} only in the second`,
  ];
  const more = exact ? "" : " (the runs are too long to be aligned exactly: more actions may be equal)";
  return parts.join(", ") + more;
}
