// A JSON value as a collapsible tree that marks what changed and what is unknown.

import {Component, html, useMemo, useReducer, useRef} from "../vendor/preact-htm.js";
import {Expansion, Marks} from "./tree_state.js";
import {Text} from "./text.js";
import {CopyButton} from "./copy.js";
import {pointer, stringify} from "../document/json.js";
import {brief, isContainer, plural, sizeOf, splitPointer} from "../session/pointers.js";

/** From this depth on, fields are not indented further. */
const MAX_INDENT = 12;
/** From this depth on, a value is shown as text: deeper elements would be too many for a browser. */
const MAX_DEPTH = 150;

const NONE = new Map();

/**
 * A tree. `changes`: Map of JSON pointer → {kind, was}; `unknown`, `conflicts`: JSON pointers; `onlyChanged`: leave out
 * all else. `expansion`: an Expansion, to open and close everything from outside (with a new `revision`).
 */
export function Tree({value, changes = NONE, unknown = [], conflicts = [], onlyChanged = false, expansion, label}) {
  const own = useRef(null);
  own.current = expansion ?? own.current ?? new Expansion();
  const [, update] = useReducer((count) => count + 1, 0);
  const marks = useMemo(() => new Marks(changes, unknown, conflicts), [changes, unknown, conflicts]);
  const tree = {marks, expansion: own.current, onlyChanged, update};
  if (!isContainer(value) || (sizeOf(value) === 0 && !marks.isTouched(""))) {
    return html`<div class="tree"><${Value} value=${value} /></div>`;
  }
  return html`<div class="tree" role="group" aria-label=${label}>
    <${Members} tree=${tree} value=${value} place="" depth=${0} />
  </div>`;
}

/** The members of an object or array: those up to a limit, and all that are marked. */
function Members({tree, value, place, depth}) {
  const {marks, expansion, onlyChanged} = tree;
  const list = Array.isArray(value);
  const keys = list ? value : Object.keys(value);
  const limit = onlyChanged ? 0 : expansion.limitOf(place);
  const shown = [];
  let extra = 0;
  const touched = place === "" || marks.isTouched(place);
  const stop = touched ? keys.length : Math.min(limit, keys.length);
  for (let index = 0; index < stop && extra < 200; index += 1) {
    const key = list ? index : keys[index];
    const path = pointer(place, key);
    if (index < limit || marks.isTouched(path)) {
      extra += index < limit ? 0 : 1;
      shown.push(html`<${Node} key=${`k${key}`} tree=${tree} name=${key} value=${value[key]} place=${path}
        depth=${depth} revision=${`${expansion.revision} ${onlyChanged}`} touched=${marks.isTouched(path)} />`);
    }
  }
  for (const path of marks.absentIn(place)) {
    const {key} = splitPointer(path);
    if (list ? !(Number(key) < value.length) : !Object.hasOwn(value, key)) {
      shown.push(html`<${Absent} key=${`a${key}`} tree=${tree} name=${key} place=${path} />`);
    }
  }
  const left = keys.length - Math.max(limit, 0);
  return html`<ul class=${depth < MAX_INDENT ? "indented" : null}>
    ${shown}
    ${marks.unknown.has(place) && html`<li class="unknown"><span>Other fields are not known.</span></li>`}
    ${!onlyChanged && left > 0 && html`<li><button type="button" class="more" onClick=${() => {
      expansion.showMore(place);
      tree.update();
    }}>show ${Math.min(left, expansion.pageSize)} more of ${left.toLocaleString("en")}</button></li>`}
  </ul>`;
}

/** A member of an object or array. Rendered again only if it, its marks or what is open has changed. */
class Node extends Component {
  shouldComponentUpdate(next) {
    const now = this.props;
    return next.value !== now.value || next.touched || now.touched || next.revision !== now.revision;
  }

  render({tree, name, value, place, depth}) {
    const {marks, expansion, onlyChanged, update} = tree;
    const container = isContainer(value) && sizeOf(value) > 0;
    const beneath = marks.countBeneath(place);
    const open = container && expansion.isOpen(place, value, depth, onlyChanged && beneath > 0, marks.hasChanges(place));
    const change = marks.changes.get(place);
    const detailed = expansion.detail === place;
    const toggle = () => {
      expansion.toggle(place, !open);
      update();
    };
    return html`<li class=${change ? change.kind : null}>
      <div class=${container ? "row" : "row plain"}>
        ${container
          ? html`<button type="button" class="toggle" aria-expanded=${String(open)} onClick=${toggle}>
              <span class="arrow" aria-hidden="true"></span><${Key} name=${name} /></button>`
          : html`<span class="leaf"><${Key} name=${name} /></span>`}
        <${Value} value=${value} open=${open} />
        ${!open && beneath > (change ? 1 : 0) && html`<span class="beneath">${plural(beneath, "mark")} inside</span>`}
        <${Badges} marks=${marks} place=${place} value=${value} />
        <button type="button" class="detail" aria-expanded=${String(detailed)}
          aria-label="Pointer and value of this field" onClick=${() => {
            expansion.showDetail(detailed ? null : place);
            update();
          }}>⋯</button>
      </div>
      ${detailed && html`<${Detail} place=${place} value=${value} change=${change} />`}
      ${open && (depth < MAX_DEPTH
        ? html`<${Members} tree=${tree} value=${value} place=${place} depth=${depth + 1} />`
        : html`<div class="deep"><${Text} value=${brief(value, 10_000)} max=${2000} /></div>`)}
    </li>`;
  }
}

/** A field that is not there: it was removed, or whether it is there is unknown. */
function Absent({tree, name, place}) {
  const change = tree.marks.changes.get(place);
  if (!change && tree.onlyChanged) {
    return null;
  }
  return html`<li class=${change?.kind ?? "unknown"}>
    <div class="row plain"><span class="leaf"><${Key} name=${name} /></span>
      ${change ? null : html`<span class="nothing">not known</span>`}
      <${Badges} marks=${tree.marks} place=${place} />
    </div>
  </li>`;
}

function Key({name}) {
  return html`<span class="key"><${Text} value=${String(name)} max=${120} /></span>`;
}

/** A value on one line: containers as their size, or, if they are closed, as their beginning. */
function Value({value, open = false}) {
  if (isContainer(value)) {
    const list = Array.isArray(value);
    const size = sizeOf(value);
    const words = list ? plural(size, "item") : plural(size, "field");
    return html`<span class="container">${list ? "[" : "{"}${size > 0 && words}${list ? "]" : "}"}</span>
      ${!open && size > 0 && html` <span class="preview"><${Text} value=${brief(value, 80)} max=${100} /></span>`}`;
  }
  if (typeof value === "string") {
    return html`<span class="string"><span aria-hidden="true">"</span><${Text} value=${value} max=${300} /><span
      aria-hidden="true">"</span></span>`;
  }
  return html`<span class=${value === null ? "null" : typeof value}>${Object.is(value, -0) ? "-0" : String(value)}</span>`;
}

/** What is said of a change; "unknown" is one of something that was not known before, or is not known now. */
function labelOf(kind, present) {
  if (kind !== "unknown") return kind;
  return present ? "before: not known" : "now not known";
}

/** What is said of a field in words. */
function Badges({marks, place, value}) {
  const change = marks.changes.get(place);
  return html`
    ${change && html`<span class=${`badge ${change.kind}`}>${labelOf(change.kind, value !== undefined)}</span>`}
    ${change && change.was !== undefined && html`<span class="was">was <${Text} value=${brief(change.was, 120)}
      max=${1000} /></span>`}
    ${marks.unknown.has(place) && value !== undefined && !isContainer(value)
      && html`<span class="badge unknown">not known</span>`}
    ${marks.conflicts.has(place) && html`<span class="badge conflict"
      title="The present state does not fit the actions; this is what the actions say.">not sure</span>`}`;
}

/** The pointer and the values of a field, to copy. */
function Detail({place, value, change}) {
  const was = change?.was;
  return html`<div class="field-detail">
    <div>pointer: <code><${Text} value=${place} max=${400} /></code> <${CopyButton} text=${place}
      label="copy the pointer" /></div>
    <div>value: <${CopyButton} text=${() => stringify(value, 2)} label="copy the value" /></div>
    ${was !== undefined && html`<div>was: <${CopyButton} text=${() => stringify(was, 2)} label="copy what it was" />
      <${Tree} value=${was} label="What it was" /></div>`}
  </div>`;
}
