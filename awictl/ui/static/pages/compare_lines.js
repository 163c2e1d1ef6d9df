// The aligned actions of two sessions, some lines at a time, and how to move between the differences.

import {Component, html, useCallback, useEffect, useLayoutEffect, useRef, useState} from "../vendor/preact-htm.js";
import {navigate} from "../frame/router.js";
import {formatCount} from "../widgets/time.js";
import {StepDetails} from "./compare_step.js";
import {did, where} from "./compare_text.js";

const EQUAL = "equal";
const CLASSES = {
  equal: "same",
  "other outcome": "changed",
  "only first": "removed",
  "only second": "added",
  different: "changed",
};

/** The action that the fragment of an address names: `{first: name}`, `{second: name}`, or nothing. */
export function anchorOf(hash) {
  const found = /^(first|second)=(\d{1,15}(\.\d{1,6})?)$/.exec(hash);
  return found ? {[found[1]]: found[2]} : {};
}

/** The fragment of an address that names the action of a line. */
function hashOf({first, second}) {
  return first ? `first=${first.name}` : `second=${second.name}`;
}

/** The index of the line that a fragment names; -1 if it is not among these. */
export function indexOf(lines, hash) {
  const [side, name] = Object.entries(anchorOf(hash))[0] ?? [];
  if (!side) return -1;
  const ordinal = parseInt(name, 10);
  const at = side === "first" ? 0 : 1;
  const exact = lines.findIndex((one) => one[side]?.name === name);
  if (exact >= 0) return exact;
  return lines.findIndex((one) => {
    const begin = one[side]?.ordinal;
    return begin !== undefined && begin <= ordinal && ordinal <= (one.last ? one.last[at] : begin);
  });
}

/** The index of the next line, from `at` on, that begins a difference, going by `by` lines; -1 if there is none. */
function nextDifference(lines, at, by) {
  for (let index = at + by; index >= 0 && index < lines.length; index += by) {
    const begins = index === 0 || lines[index - 1].block !== lines[index].block;
    if (begins && lines[index].relation !== EQUAL) return index;
  }
  return -1;
}

/** Call the function of a key, unless it is typed into a field or means something else. */
function useKeys(actions) {
  const current = useRef(actions);
  current.current = actions;
  useEffect(() => {
    const onKey = (event) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]")) return;
      const action = Object.hasOwn(current.current, event.key) ? current.current[event.key] : null;
      if (!action) return;
      event.preventDefault();
      action();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

/** The lines. `onPart(params)` loads another part; `children`: more of the toolbar. */
export function RunLines({ids, found, hash, busy, onPart, onUnfold, children}) {
  const {lines, offset, total, divergence, previous, next} = found;
  const [opened, setOpened] = useState(() => new Set());
  const table = useRef(null);
  const focusing = useRef(false);
  const named = indexOf(lines, hash);
  const start = divergence ?? found.other_outcome;
  const current = named >= 0 ? named : start ? start.line - offset : -1;

  const goTo = useCallback(
    (line) => {
      focusing.current = true;
      navigate(`${window.location.pathname}${window.location.search}#${hashOf(line)}`, {replace: true});
    },
    [lines],
  );
  const goToPlace = (place) => {
    if (!place) return;
    goTo(place);
    if (place.line < offset || place.line >= offset + lines.length) {
      onPart(anchorOf(hashOf(place)));
    }
  };
  const move = (by) => {
    const from = current >= 0 && current < lines.length ? current : by > 0 ? -1 : lines.length;
    const index = nextDifference(lines, from, by);
    if (index >= 0) goTo(lines[index]);
    else goToPlace(by > 0 ? next : previous);
  };
  const toggle = (line) => {
    const key = hashOf(line);
    setOpened((before) => {
      const after = new Set(before);
      if (!after.delete(key)) after.add(key);
      return after;
    });
  };
  const unfold = (line) => onUnfold(hashOf(line));
  const openCurrent = () => {
    const line = lines[current];
    if (line && !line.last) toggle(line);
  };
  useKeys({n: () => move(1), p: () => move(-1), f: () => goToPlace(start), o: openCurrent});

  // an address that names an action of another part
  useEffect(() => {
    const anchor = anchorOf(hash);
    if (Object.keys(anchor).length && indexOf(lines, hash) < 0 && !busy && lines.length) onPart(anchor);
  }, [hash]);
  useLayoutEffect(() => {
    const row = table.current?.querySelector(`[data-line="${current}"]`);
    if (!row) return;
    scrollInto(table.current, row);
    if (focusing.current) row.querySelector("button")?.focus({preventScroll: true});
    focusing.current = false;
  }, [current, lines]);

  if (!total) return html`<div class="toolbar">${children}</div>`;
  const atStart = nextDifference(lines, current, -1) < 0 && !previous;
  const atEnd = nextDifference(lines, current, 1) < 0 && !next;
  return html`
    <div class="toolbar">
      <button type="button" onClick=${() => goToPlace(start)} disabled=${!start} aria-keyshortcuts="f">
        ${divergence || !start ? "First divergence" : "First difference"} <kbd>f</kbd>
      </button>
      <button type="button" onClick=${() => move(-1)} disabled=${atStart} aria-keyshortcuts="p">
        Previous <kbd>p</kbd>
      </button>
      <button type="button" onClick=${() => move(1)} disabled=${atEnd} aria-keyshortcuts="n">
        Next <kbd>n</kbd>
      </button>
      ${children}
    </div>
    <${Parts} found=${found} onPart=${onPart} />
    <div class="run-lines" ref=${table} tabindex="0" role="region" aria-label="Aligned actions">
      <table>
        <caption class="visually-hidden">
          The actions of both sessions, aligned
        </caption>
        <thead>
          <tr>
            <th scope="col" class="number">#</th>
            <th scope="col">First</th>
            <th scope="col" class="relation">Relation</th>
            <th scope="col" class="number">#</th>
            <th scope="col">Second</th>
          </tr>
        </thead>
        <tbody>
          ${lines.map((line, index) => {
            const isOpen = opened.has(hashOf(line));
            return html`<${Line}
                key=${hashOf(line)}
                line=${line}
                index=${index}
                current=${index === current}
                diverges=${divergence !== null && divergence.line === offset + index}
                isOpen=${isOpen}
                onToggle=${line.last ? unfold : toggle}
              />${isOpen &&
              html`<tr key=${`opened ${hashOf(line)}`} class="opened">
                <td colspan="5"><${StepDetails} ids=${ids} line=${line} version=${found.version} /></td>
              </tr>`}`;
          })}
        </tbody>
      </table>
    </div>
  `;
}

/** Scroll a row into view within its box only: the page itself stays where it is. */
function scrollInto(box, row) {
  const [outer, inner] = [box.getBoundingClientRect(), row.getBoundingClientRect()];
  const head = box.querySelector("thead").getBoundingClientRect().height;
  if (inner.top < outer.top + head || inner.bottom > outer.bottom) {
    box.scrollTop += inner.top - outer.top - outer.height / 3;
  }
}

function Parts({found: {lines, offset, total}, onPart}) {
  if (lines.length === total) return null;
  const end = offset + lines.length;
  return html`<p class="toolbar parts">
    <span role="status">Lines ${formatCount(offset + 1)} to ${formatCount(end)} of ${formatCount(total)}</span>
    <button type="button" disabled=${!offset} onClick=${() => onPart({offset: Math.max(0, offset - 500)})}>
      Earlier lines
    </button>
    <button type="button" disabled=${end >= total} onClick=${() => onPart({offset: end})}>Later lines</button>
  </p>`;
}

const WATCHED = ["line", "index", "current", "diverges", "isOpen"];

/** A line, which is rendered again only if it has changed: a key moves from one of hundreds to another one. */
class Line extends Component {
  shouldComponentUpdate(next) {
    return WATCHED.some((name) => this.props[name] !== next[name]);
  }

  render({line, index, current, diverges, isOpen, onToggle}) {
    const {first, second, relation, last} = line;
    const number = (cell, at) => (cell === null ? "" : last ? `${cell.ordinal}–${last[at]}` : cell.ordinal);
    const shown = last ? `${formatCount(line.actions)} equal` : relation;
    const label = last ? `${shown}: show them from ${where(line)} on` : `${shown}: ${where(line)}`;
    const className = `${CLASSES[relation]}${current ? " current" : ""}`;
    const expanded = last ? null : isOpen;
    const button = html`<button
      type="button"
      class="small"
      aria-expanded=${expanded}
      aria-label=${label}
      onClick=${() => onToggle(line)}
    >
      ${shown}
    </button>`;
    return html`<tr data-line=${index} class=${className} aria-current=${current ? "true" : null}>
      <td class="number">${number(first, 0)}</td>
      <td><${Cell} cell=${first} folded=${last} /></td>
      <td class="relation">
        ${button}${diverges && html` <span class="badge warn">first divergence</span>`}
        ${line.differs.length > 0 && html`<span class="differs">${line.differs.join(", ")}</span>`}
      </td>
      <td class="number">${number(second, 1)}</td>
      <td><${Cell} cell=${second} folded=${last} /></td>
    </tr>`;
  }
}

function Cell({cell, folded}) {
  if (folded) return html`<span class="muted">…</span>`;
  if (!cell) return null;
  return html`${cell.failed && html`<span class="badge error">failed</span> `}${did(cell)}${cell.overwritten &&
  html` <span class="badge warn">overwritten</span>`}`;
}
