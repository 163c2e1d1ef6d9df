// The page of all sessions: one list of those that are live and those in the archive, as they change.

import {html, useEffect, useRef, useState} from "../vendor/preact-htm.js";
import {subscribe} from "../frame/api.js";
import {Commands} from "../widgets/copy.js";
import {Notice, Problem, StreamState} from "../widgets/notices.js";
import {navigate, pageUrl, sessionUrl} from "../frame/router.js";
import {COLUMNS, sessionCells, sessionClass} from "./session_rows.js";
import {Text} from "../widgets/text.js";
import {Ago, formatCount, learnTime} from "../widgets/time.js";
import {VirtualList} from "../widgets/virtual_list.js";
import {WhereField} from "./where_field.js";

/** Rows that are loaded at once, and how many of them are above those on the screen. */
const LIMIT = 200;
const BEFORE = 60;
/** Milliseconds without scrolling after which other rows are loaded. */
const SCROLL_MS = 80;
/** What `awictl session list --sort` can sort by. */
const COMMAND_SORTS = ["activity", "ttl", "actions", "failed", "bytes", "agent", "route", "id"];

/** Where the list was when it was left, to return to that place. */
let left = {address: "", top: 0, active: -1, offset: 0};

function queryOf({where = "", sort, order, archived}) {
  const column = COLUMNS.find((one) => one.sort === sort) ?? COLUMNS.find((one) => one.sort === "activity");
  const descending = order ? order === "desc" : Boolean(column.largest);
  return {where, sort: column.sort, descending, archived: archived !== "0", isNatural: descending === Boolean(column.largest)};
}

function addressOf(query) {
  const column = COLUMNS.find((one) => one.sort === query.sort);
  const natural = query.descending === Boolean(column.largest);
  return pageUrl("/sessions", {
    where: query.where,
    sort: query.sort === "activity" && natural ? null : query.sort,
    order: natural ? null : query.descending ? "desc" : "asc",
    archived: query.archived ? null : "0",
  });
}

/** The page. */
export function SessionsPage({location, about}) {
  const query = queryOf(location.query);
  const address = addressOf(query);
  const [start] = useState(left);
  const [kept, setPlace] = useState({address: start.address, active: start.active, offset: start.offset});
  const place = kept.address === address ? kept : {address, active: -1, offset: 0};
  const {view, error, state} = useWindow(query, address, place.offset);
  const timer = useRef(null);
  const move = (changes) =>
    setPlace((before) => ({...(before.address === address ? before : {address, active: -1, offset: 0}), ...changes}));
  const change = (changes) => navigate(addressOf({...query, ...changes}), {replace: true});
  useEffect(() => () => clearTimeout(timer.current), [address]);

  // the last list stays until the next one is there, also if its filter is not valid
  const isCurrent = view?.address === address;
  const onRange = (first, last, top) => {
    if (!isCurrent) return;
    left = {...place, top};
    clearTimeout(timer.current);
    const isLoaded = (index) => index >= place.offset && index < place.offset + LIMIT;
    if (isLoaded(first) && (isLoaded(last) || last - first >= LIMIT)) return;
    timer.current = setTimeout(() => move({offset: Math.max(0, first - BEFORE)}), SCROLL_MS);
  };
  const onActive = (active) => {
    left = {...left, active};
    move({active});
  };
  const rowAt = (index) => view?.rows[index - view.offset];
  const onSort = ({sort, largest}) =>
    change({sort, descending: sort === query.sort ? !query.descending : Boolean(largest)});
  const syntax = error?.status === 400 ? error : null;

  return html`
    <h1>Sessions</h1>
    <div class="toolbar">
      <${WhereField} value=${query.where} error=${syntax} onChange=${(where) => change({where})} />
      ${about?.archive !== null &&
      html`<label
        ><input type="checkbox" checked=${query.archived} onChange=${(event) => change({archived: event.currentTarget.checked})} />
        archived sessions, too</label
      >`}
      <${Count} view=${view} isCurrent=${isCurrent} />
    </div>
    ${error && !syntax && html`<${Problem} error=${error} />`}
    <${StreamState} state=${error ? null : state} />
    ${view?.degraded && html`<${Notice} kind="warn"><${Text} value=${view.degraded} max=${1000} /></${Notice}>`}
    ${view?.problem && html`<${Notice} kind="error"><${Text} value=${view.problem} max=${1000} /></${Notice}>`}
    ${view?.complete && !view.total && html`<p>${view.where ? "No session matches this filter." : "There are no sessions."}</p>`}
    <${VirtualList}
      key=${view?.address ?? address}
      label="Sessions"
      columns=${COLUMNS}
      total=${view?.total ?? 0}
      busy=${!error && !(isCurrent && view.complete)}
      active=${isCurrent ? place.active : -1}
      cells=${sessionCells}
      rowClass=${sessionClass}
      sort=${{key: query.sort, descending: query.descending}}
      onOpen=${(row) => navigate(sessionUrl(row.session_id))}
      start=${start.address === address ? start.top : 0}
      ...${{rowAt, onRange, onSort, onActive}}
    />
    <${Commands} lines=${commands(query, about, rowAt(place.active))} />
  `;
}

/** The rows from `offset` on, as they change. */
function useWindow(query, address, offset) {
  const [view, setView] = useState(null);
  const [error, setError] = useState(null);
  const [state, setState] = useState("connecting");
  useEffect(() => {
    const params = {
      where: query.where.trim(),
      sort: query.sort,
      order: query.descending ? "desc" : "asc",
      archived: query.archived ? 1 : 0,
      offset,
      limit: LIMIT,
    };
    const onEvent = (name, value) => {
      if (name === "problem") {
        setError(value);
        return;
      }
      setError(null);
      learnTime(value.now);
      setView((before) => {
        const view = {...withChanges(value, before), address, where: query.where};
        // a list that is read anew, after the tab was hidden, takes the place of the old one when it is complete
        const isAgain = before?.address === address && before.complete && before.offset === value.offset;
        return isAgain && !value.complete && !value.degraded && !value.problem ? {...before, again: value.read} : view;
      });
    };
    setError(null);
    return subscribe("/api/sessions/events", params, {onEvent, onState: setState});
  }, [address, offset]);
  return {view, error, state};
}

/** A window with the time at which each session expires, and which of them have acted since the last one. */
function withChanges(view, before) {
  const now = Date.parse(view.now);
  const actions = new Map(before?.rows.map((row) => [row.session_id, row.total_actions]));
  const rows = view.rows.map((row) => ({
    ...row,
    until: row.ttl_ms === null ? null : now + row.ttl_ms,
    changed: actions.has(row.session_id) && actions.get(row.session_id) !== row.total_actions,
  }));
  return {...view, rows};
}

/** How many sessions there are; said aloud once for each list. */
function Count({view, isCurrent}) {
  const [said, setSaid] = useState("");
  const count = view ? `${formatCount(view.total)} ${view.total === 1 ? "session" : "sessions"}` : "reading…";
  const isComplete = isCurrent && view.complete;
  const text = view?.complete && view.where ? `${count} of ${formatCount(view.read)} match` : count;
  useEffect(() => {
    if (isComplete) setSaid(text);
  }, [isComplete, view?.address]);
  const keys = view?.keys ? ` in at most ${formatCount(view.keys)} keys` : "";
  const read = view?.complete ? view.again : view?.read;
  return html`<span class="count">
    <span data-count>${text}</span>
    ${read !== undefined && html` <span class="muted">${formatCount(read)} read so far${keys}</span>`}
    ${read === undefined && view?.scanned && html` <span class="muted">as of <${Ago} iso=${view.scanned} /></span>`}
    <span class="visually-hidden" role="status">${said}</span>
  </span>`;
}

function commands(query, about, row) {
  const list = ["awictl", "session", "list"];
  if (query.archived && about?.archive !== null) list.push("--all");
  if (query.where.trim()) list.push("--where", query.where.trim());
  if (COMMAND_SORTS.includes(query.sort)) {
    list.push("--sort", query.sort);
    if (!query.isNatural) list.push("--reverse");
  }
  const lines = [list, ["awictl", "session", "list", "--failed", "--sort", "failed"]];
  if (row) lines.push(["awictl", "session", "show", row.session_id]);
  return lines;
}
