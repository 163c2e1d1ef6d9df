// The list of actions. Only what is in view is in the document.

import {Component, html, useLayoutEffect, useRef, useState} from "../vendor/preact-htm.js";
import {formatDate, formatDuration, formatTime} from "../widgets/time.js";
import {visible} from "../widgets/text.js";
import {IDLE_MS} from "./rows.js";

/** Height of a row in pixels, as in `session_view.css`. */
const ROW = 30;
/** Rows beyond those in view, so that scrolling shows no empty space. */
const MORE = 8;

/** The timeline. `onSelect(index)`: a step was chosen; `goTo(index)`: one was reached with the keys of a list. */
export function Timeline({timeline, index, onSelect, goTo}) {
  const {items, itemAt, rows} = timeline;
  const box = useRef(null);
  const [view, setView] = useState({top: 0, height: 600});
  const measure = () => {
    const {scrollTop: top, clientHeight: height} = box.current;
    setView((now) => (now.top === top && now.height === height ? now : {top, height}));
  };
  useLayoutEffect(() => {
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const at = itemAt[index] ?? 0;
  useLayoutEffect(() => {
    // what was measured last, since to measure now would lay out the whole page once more
    const top = at * ROW;
    if (top < view.top || top + ROW > view.top + view.height) {
      box.current.scrollTop = top - (view.height - ROW) / 2;
      measure();
    }
  }, [at, items.length, view.height]);
  const first = Math.max(0, Math.floor(view.top / ROW) - MORE);
  const stop = Math.min(items.length, Math.ceil((view.top + view.height) / ROW) + MORE);
  const shown = [];
  for (let place = first; place < stop; place += 1) {
    shown.push(html`<${Item} key=${place} item=${items[place]} place=${place} count=${items.length}
      selected=${place === at} onSelect=${onSelect} />`);
  }
  const active = at >= first && at < stop && rows.length ? `step-${at}` : null;
  const onKeyDown = (event) => {
    const by = {ArrowUp: -1, ArrowDown: 1}[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    goTo(index + by);
  };
  return html`<div class="timeline" role="listbox" tabindex="0" aria-label="Actions" aria-activedescendant=${active}
    ref=${box} onScroll=${measure} onKeyDown=${onKeyDown}>
    <div class="space" style=${{height: `${items.length * ROW}px`}}>
      <div class="window" style=${{transform: `translateY(${first * ROW}px)`}}>${shown}</div>
    </div>
  </div>`;
}

/** A row of the list. Rendered again only if it is another one, or becomes chosen. */
class Item extends Component {
  shouldComponentUpdate({item, selected, count, onSelect}) {
    const now = this.props;
    const same = item === now.item && selected === now.selected && count === now.count;
    return !same || onSelect !== now.onSelect;
  }

  render(props) {
    const {item, place, count} = props;
    const position = {role: "option", "aria-setsize": count, "aria-posinset": place + 1};
    return item.gap || item.day
      ? html`<div class=${`item ${item.day ? "day" : "gap"}`} aria-disabled="true" aria-selected="false" ...${position}>
          <span>${item.text}${item.first === undefined ? "" : ` (${item.first}–${item.last})`}</span></div>`
      : html`<${Action} ...${props} position=${position} />`;
  }
}

function Action({item, place, selected, onSelect, position}) {
  return html`<div id=${`step-${place}`} aria-selected=${String(selected)} ...${position}
    class=${`item ${item.outcome} ${item.overwritten ? "overwritten" : ""}`} onClick=${() => onSelect(item.index)}>
    <span class="number">${item.ordinal}${item.t !== null
      && html`<small title="t, the app's own number"> t=${visible(item.t)}</small>`}</span>
    <span class="name"><span class="label" title=${visible(item.name)}>${visible(item.name)}</span>${item.overwritten
      && html` <span class="badge warn">overwritten</span>`}</span>
    <span class=${`outcome ${item.outcome}`}>${SIGNS[item.outcome]}<span
      class="visually-hidden">${item.outcome}</span></span>
    <span class=${`since ${item.since > IDLE_MS ? "idle" : ""}`}>${item.since !== null && since(item.since)}</span>
    <span class="time">${item.iso !== null
      && html`<time title=${`${formatDate(item.iso)} UTC`}>${formatTime(item.iso)}</time>`}</span>
  </div>`;
}

const SIGNS = {ok: "✓", failed: "✗", "": ""};

function since(ms) {
  return ms < 0 ? formatDuration(ms) : `+${formatDuration(ms)}`;
}

/** Whether an action succeeded, as a sign and in words. */
export function Outcome({outcome}) {
  if (outcome === "ok") return html`<span class="outcome ok"><span aria-hidden="true">✓ </span>ok</span>`;
  if (outcome === "failed") return html`<span class="outcome failed"><span aria-hidden="true">✗ </span>failed</span>`;
  return html`<span class="outcome"></span>`;
}
