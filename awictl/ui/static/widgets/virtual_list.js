// A grid of many rows of which only those on the screen are in the document.

import {html, useEffect, useLayoutEffect, useRef, useState} from "../vendor/preact-htm.js";

/** Rows in the document above and below those on the screen. */
const OVERSCAN = 8;
/** Height of the scrolled area in pixels from which rows are closer together than the scroll bar says: browsers have a limit. */
const MOST_PIXELS = 8000000;

/**
 * Where the rows are. `top`: scroll position; `height`: of the area for rows; `row`: height of a row, in pixels.
 *
 * Returns the height of the scrolled area, the first and the last row on the screen, and `offset(index)`, the place of a
 * row in that area.
 */
export function placement(total, top, height, row) {
  const all = total * row;
  const scrolled = Math.min(all, MOST_PIXELS);
  const ratio = scrolled > height ? (all - height) / (scrolled - height) : 1;
  const from = Math.max(0, Math.min(top, scrolled - height)) * ratio;
  const first = Math.max(0, Math.min(total - 1, Math.floor(from / row)));
  const last = Math.max(0, Math.min(total - 1, Math.ceil((from + height) / row) - 1));
  return {scrolled, first, last, ratio, offset: (index) => index * row - from + from / ratio};
}

/** The row that a key leads to; null if it is another key. `page`: number of rows on the screen. */
export function rowOfKey(key, active, total, page) {
  const steps = {ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -total, End: total};
  if (!(key in steps) || !total) return null;
  return Math.max(0, Math.min(total - 1, active < 0 ? (key === "End" ? total - 1 : 0) : active + steps[key]));
}

/**
 * A grid with keys: arrows, PageUp, PageDown, Home and End choose a row, Enter opens it.
 *
 * `columns`: `{key, title, className}` each, with `sort` if the list can be sorted by it, and `help` to explain it.
 * `rowAt(index)`: a row; undefined if it has not been loaded. `cells(row)`: the content of its cells by key.
 * `onRange(first, last)`: which rows are on the screen. `sort`: `{key, descending}`. `active`: number of the chosen row, or -1. `start`: where to scroll at first.
 */
export function VirtualList(props) {
  const {label, columns, total, rowAt, cells, rowClass, onRange, sort, onSort, active, onActive, onOpen, busy, start} = props;
  const grid = useRef(null);
  const head = useRef(null);
  const probe = useRef(null);
  const begin = useRef(start || 0);
  const [top, setTop] = useState(0);
  const [size, setSize] = useState({height: 600, row: 36, head: 36});
  const height = Math.max(size.row, size.height - size.head);
  const {scrolled, first, last, ratio, offset} = placement(total, top, height, size.row);

  useLayoutEffect(() => {
    const measure = () =>
      setSize({
        height: grid.current.clientHeight,
        row: probe.current.offsetHeight || 36,
        head: head.current.offsetHeight,
      });
    const observer = new ResizeObserver(measure);
    for (const one of [grid, head, probe]) observer.observe(one.current);
    measure();
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (!begin.current || !total) return;
    grid.current.scrollTop = begin.current;
    begin.current = 0;
  }, [total]);
  useEffect(() => onRange(first, last, grid.current.scrollTop), [first, last, total]);

  const choose = (index) => {
    onActive(index);
    const page = Math.max(1, Math.floor(height / size.row));
    const from = index < first || index * size.row < top * ratio ? index : Math.max(0, index - page + 1);
    const shown = index * size.row >= top * ratio && (index + 1) * size.row <= top * ratio + height;
    if (!shown) grid.current.scrollTop = Math.ceil((from * size.row) / ratio);
  };
  const onKeyDown = (event) => {
    if (event.target !== grid.current || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter" && active >= 0 && rowAt(active)) {
      event.preventDefault();
      onOpen(rowAt(active));
      return;
    }
    const page = Math.max(1, Math.floor(height / size.row) - 1);
    const index = rowOfKey(event.key, active, total, page);
    if (index === null) return;
    event.preventDefault();
    choose(index);
  };

  const rows = [];
  const end = Math.min(total - 1, last + OVERSCAN);
  for (let index = Math.max(0, first - OVERSCAN); index <= end; index += 1) {
    rows.push(html`<${Row}
      key=${index}
      index=${index}
      row=${rowAt(index)}
      y=${offset(index)}
      active=${index === active}
      ...${{columns, cells, rowClass, onOpen}}
    />`);
  }
  const isShown = active >= Math.max(0, first - OVERSCAN) && active <= end;
  return html`<div
    class="virtual"
    role="grid"
    tabindex="0"
    ref=${grid}
    aria-label=${label}
    aria-rowcount=${total + 1}
    aria-colcount=${columns.length}
    aria-busy=${busy ? "true" : "false"}
    aria-activedescendant=${isShown ? `row-${active}` : null}
    onScroll=${(event) => setTop(event.currentTarget.scrollTop)}
    onKeyDown=${onKeyDown}
  >
    <div role="rowgroup" class="virtual-head" ref=${head}>
      <div role="row" aria-rowindex="1" class="virtual-row">
        ${columns.map((column) => html`<${Header} key=${column.key} ...${{column, sort, onSort}} />`)}
      </div>
    </div>
    <div role="rowgroup" class="virtual-body" style=${{height: `${scrolled}px`}}>${rows}</div>
    <div class="virtual-row virtual-probe" ref=${probe} aria-hidden="true"></div>
  </div>`;
}

function Header({column, sort, onSort}) {
  const isSorted = sort.key === column.sort && column.sort;
  const order = isSorted ? (sort.descending ? "descending" : "ascending") : "none";
  return html`<div role="columnheader" class=${column.className ?? ""} aria-sort=${column.sort ? order : null}>
    ${column.sort
      ? html`<button type="button" class="sort" title=${column.help} onClick=${() => onSort(column)}>
          ${column.title}<span aria-hidden="true" class="arrow">${isSorted ? (sort.descending ? "▼" : "▲") : ""}</span>
        </button>`
      : column.title}
  </div>`;
}

function Row({index, row, y, active, columns, cells, rowClass, onOpen}) {
  const found = row ? cells(row) : {};
  const onClick = (event) => {
    if (row && !event.defaultPrevented && !event.target.closest("a, button")) onOpen(row);
  };
  return html`<div
    role="row"
    id=${`row-${index}`}
    aria-rowindex=${index + 2}
    aria-selected=${active ? "true" : "false"}
    class=${`virtual-row ${row ? rowClass(row) : "loading"}`}
    style=${{transform: `translateY(${y}px)`}}
    onClick=${onClick}
  >
    ${columns.map(
      ({key, className, title}) => html`<div role="gridcell" key=${key} class=${`cell-${key} ${className ?? ""}`} data-label=${title}>
        ${found[key] ?? (row ? "-" : "…")}
      </div>`,
    )}
  </div>`;
}
