// The whole life of a session in one line: a tick for each action, along the time.

import {html, useMemo, useRef} from "../vendor/preact-htm.js";
import {formatMoment} from "../widgets/time.js";
import {visible} from "../widgets/text.js";
import {IDLE_MS} from "./rows.js";

const WIDTH = 2000;
const HEIGHT = 24;

/**
 * Where each step is, from 0 to 1: `{places, gaps, idle}`, the last two as [from, to].
 *
 * `compress`: idle time takes no more room than a pause of IDLE_MS.
 */
export function placesOf(timeline, compress) {
  const {rows, items} = timeline;
  const pause = (row) => Math.max(0, compress ? Math.min(row.since ?? 0, IDLE_MS) : row.since ?? 0);
  const total = rows.reduce((sum, row) => sum + pause(row), 0);
  const least = total > 0 ? total / rows.length / 10 : 1;
  const gapWidth = (total + least * rows.length) / 40;
  const gapBefore = new Set(items.filter((one) => one.gap).map((one) => one.before));
  const [places, gaps, idle] = [[], [], []];
  let x = 0;
  for (const row of rows) {
    if (gapBefore.has(row.index)) {
      gaps.push([x, x + gapWidth]);
      x += gapWidth;
    }
    if (row.index) {
      const step = pause(row) + least;
      if (row.since > IDLE_MS) idle.push([x, x + step]);
      x += step;
    }
    places.push(x);
  }
  const scale = x || 1;
  const scaled = (list) => list.map(([from, to]) => [from / scale, to / scale]);
  return {places: places.map((one) => one / scale), gaps: scaled(gaps), idle: scaled(idle)};
}

/** The index of the step that is nearest to a place. */
export function nearest(places, x) {
  let [low, high] = [0, places.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - places[low - 1] < places[low] - x ? low - 1 : low;
}

function ticks(rows, places, wanted, top) {
  const drawn = new Set();
  for (const row of rows) {
    if (wanted(row)) drawn.add(Math.round(places[row.index] * (WIDTH - 2)) + 1);
  }
  return [...drawn].map((x) => `M${x} ${top}V${HEIGHT}`).join("");
}

/** The strip. It is for the pointer alone; the slider below it does the same. */
export function Strip({timeline, index, compress, onSelect}) {
  const box = useRef(null);
  const laid = useMemo(() => placesOf(timeline, compress), [timeline, compress]);
  const drawing = useMemo(() => {
    const block = (kind) => ([from, to], at) => html`<rect key=${kind + at} class=${kind} x=${from * WIDTH} y="0"
      width=${(to - from) * WIDTH} height=${HEIGHT} />`;
    const {rows} = timeline;
    return html`<svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none">
      ${laid.idle.slice(0, 500).map(block("idle"))}
      ${laid.gaps.slice(0, 500).map(block("gap"))}
      <path class="ok" d=${ticks(rows, laid.places, (row) => row.outcome !== "failed", 10)} />
      <path class="failed" d=${ticks(rows, laid.places, (row) => row.outcome === "failed", 0)} />
    </svg>`;
  }, [timeline, laid]);
  const indexAt = (event) => {
    const {left, width} = box.current.getBoundingClientRect();
    return nearest(laid.places, (event.clientX - left) / width);
  };
  const select = (event) => onSelect(indexAt(event));
  const onPointerMove = (event) => {
    if (event.buttons === 1) select(event);
    const {ordinal, name, iso} = timeline.rows[indexAt(event)];
    box.current.title = `${ordinal} ${visible(name)}${iso === null ? "" : `, ${formatMoment(iso)} UTC`}`;
  };
  const onPointerDown = (event) => {
    if (event.button) return;
    box.current.setPointerCapture(event.pointerId);
    select(event);
  };
  return html`<div class="strip" aria-hidden="true" ref=${box} onPointerDown=${onPointerDown}
    onPointerMove=${onPointerMove}>
    ${drawing}
    <div class="marker" style=${{left: `${(laid.places[index] ?? 0) * 100}%`}}></div>
  </div>`;
}
