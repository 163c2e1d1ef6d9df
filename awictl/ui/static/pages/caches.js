// The page "Caches": what is cached, and why a query is not.

import {html, useMemo, useState} from "../vendor/preact-htm.js";
import {Command, Commands} from "../widgets/copy.js";
import {useLoaded} from "../frame/loaded.js";
import {Notice, Problem} from "../widgets/notices.js";
import {Link} from "../frame/router.js";
import {Text} from "../widgets/text.js";
import {Ago, Countdown, formatBytes, formatCount, serverTime} from "../widgets/time.js";
import {stringify} from "../document/json.js";
import {Diagnosis} from "./cache_diagnosis.js";
import {CacheEntry} from "./cache_entry.js";
import {SessionLinks} from "./cache_sessions.js";
import {Again, Progress, scanPause} from "./scans.js";

/** Number of rows that are shown at first, and that each press of the button adds. */
const PAGE_ROWS = 100;
const NEVER = Number.POSITIVE_INFINITY;

const COLUMNS = [
  {name: "cache_key", title: "Key", value: (row) => row.cache_key},
  {name: "ttl", title: "Expires in", number: true, value: (row) => row.ttl_ms ?? NEVER},
  {name: "count", title: "Results", number: true, value: (row) => row.count ?? -1},
  {name: "bytes", title: "Size", number: true, value: (row) => row.bytes},
  {name: "query", title: "Query", value: (row) => (row.query ? stringify(row.query) : "")},
  {name: "sessions", title: "Sessions", value: (row) => row.session_count},
];

/** The page of all entries, or, with `id`, of one. */
export function CachesPage({id, location}) {
  if (id) return html`<${CacheEntry} key=${id} cacheKey=${id} session=${location.query.session} />`;
  return html`<div class="caches">
    <h1>Caches</h1>
    <${Diagnosis} query=${location.query} />
    <${Entries} />
  </div>`;
}

function Entries() {
  const {value, error, again, ask} = useLoaded("/api/caches", {}, scanPause);
  return html`<section aria-label="Cached queries" aria-busy=${String(!error && !value?.entries && !value?.problem)}>
    <h2>Cached queries</h2>
    ${error && html`<${Problem} error=${error} onRetry=${again} />`}
    ${!value && !error && html`<p role="status">Scanning…</p>`}
    ${value && html`<${Listing} key="listing" value=${value} onAgain=${() => ask({again: 1})} />`}
    <${Commands} lines=${[["awictl", "cache", "list"]]} />
  </section>`;
}

function Listing({value, onAgain}) {
  const [find, setFind] = useState("");
  const [sort, setSort] = useState({name: "ttl", descending: true});
  const [limit, setLimit] = useState(PAGE_ROWS);
  const entries = value.entries ?? [];
  const received = useMemo(serverTime, [value]);
  const rows = useMemo(() => sorted(entries.filter((row) => matches(row, find)), sort), [value, find, sort]);
  return html`
    <div class="toolbar">
      <label>Find <input type="search" value=${find} onInput=${(event) => setFind(event.target.value)} /></label>
      <${Again} scan=${value} busy=${value.running} onAgain=${onAgain} label="Scan again" />
      ${value.entries &&
      html`<span class="muted"
        ><span role="status">${formatCount(value.total)} ${value.total === 1 ? "entry" : "entries"}</span>, ${" "}
        ${formatBytes(value.bytes)}, scanned <${Ago} iso=${value.at} /></span
      >`}
    </div>
    <${Progress} scan=${value} what="Scanning" noun="keys and sessions" />
    ${value.problem &&
    html`<${Notice} kind="error">The cache could not be scanned: <${Text} value=${value.problem} max=${2000} />${" "}
      ${value.at && html`What is shown is from <${Ago} iso=${value.at} />.`}
    </${Notice}>`}
    ${value.sessions_problem &&
    html`<${Notice} kind="warn">The sessions could not be scanned: <${Text} value=${value.sessions_problem} max=${2000} />
    </${Notice}>`}
    ${value.total > entries.length &&
    html`<${Notice}>
      Only the ${formatCount(entries.length)} entries that were cached last are shown. All: <${Command}
        words=${["awictl", "cache", "list"]} />
    </${Notice}>`}
    ${value.entries && !value.total && html`<p>Nothing is cached at <${Text} value=${value.where} />.</p>`}
    ${entries.length > 0 && html`<${Table} rows=${rows.slice(0, limit)} received=${received} sort=${sort} onSort=${setSort} />`}
    ${entries.length > 0 && !rows.length && html`<p>No entry matches.</p>`}
    ${rows.length > limit &&
    html`<button type="button" onClick=${() => setLimit(limit + PAGE_ROWS)}>
      Show ${Math.min(PAGE_ROWS, rows.length - limit)} more of ${formatCount(rows.length - limit)}
    </button>`}
  `;
}

function matches(row, find) {
  const wanted = find.trim().toLowerCase();
  if (!wanted) return true;
  const texts = [row.cache_key, ...row.sessions, row.query ? stringify(row.query) : ""];
  return texts.some((text) => text.toLowerCase().includes(wanted));
}

function sorted(rows, {name, descending}) {
  const {value} = COLUMNS.find((one) => one.name === name);
  const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  return [...rows].sort((a, b) => (descending ? -1 : 1) * order(value(a), value(b)));
}

function Table({rows, received, sort, onSort}) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of cached queries">
    <table class="entries">
      <thead>
        <tr>${COLUMNS.map((one) => html`<${Head} key=${one.name} column=${one} sort=${sort} onSort=${onSort} />`)}</tr>
      </thead>
      <tbody>
        ${rows.map((row) => html`<${Entry} key=${row.cache_key} row=${row} received=${received} />`)}
      </tbody>
    </table>
  </div>`;
}

function Head({column, sort, onSort}) {
  const own = sort.name === column.name;
  const direction = sort.descending ? "descending" : "ascending";
  const onClick = () => onSort({name: column.name, descending: own ? !sort.descending : Boolean(column.number)});
  return html`<th scope="col" class=${column.number ? "number" : null} aria-sort=${own ? direction : null}>
    <button type="button" class="link" onClick=${onClick}>${column.title}</button
    >${own && html`<span aria-hidden="true">${sort.descending ? " ▾" : " ▴"}</span>`}
  </th>`;
}

function Entry({row, received}) {
  const key = html`<span class="mono"><${Text} value=${row.cache_key} max=${64} /></span>`;
  return html`<tr>
    <td>${row.has_page ? html`<${Link} href=${`/caches/${row.cache_key}`}>${key}</${Link}>` : key}</td>
    <td class="number"><${Countdown} until=${row.ttl_ms === null ? null : received + row.ttl_ms} /></td>
    <td class="number">
      ${row.error ? html`<span class="error">unreadable</span>` : row.count === null ? "-" : formatCount(row.count)}
    </td>
    <td class="number">${formatBytes(row.bytes)}</td>
    <td class="query">
      ${row.error && html`<span class="error"><${Text} value=${row.error} max=${200} /></span>`}
      ${row.query ? html`<${Query} query=${row.query} />` : row.error ? null : html`<span class="muted">not known</span>`}
    </td>
    <td><${SessionLinks} row=${row} most=${2} /></td>
  </tr>`;
}

function Query({query}) {
  return html`<code><${Text} value=${stringify(query.filters)} max=${120} /></code>${" "}
    <code class="muted"><${Text} value=${stringify(query.sort)} max=${60} /></code>`;
}
