// The page of one cached query: its results, and the sessions whose query it is.

import {html, useMemo, useRef} from "../vendor/preact-htm.js";
import {Commands, CopyButton} from "../widgets/copy.js";
import {useLoaded} from "../frame/loaded.js";
import {MarkedText} from "../widgets/marked_text.js";
import {Notice, Problem} from "../widgets/notices.js";
import {Link, pageUrl} from "../frame/router.js";
import {Text} from "../widgets/text.js";
import {Tree} from "../widgets/tree.js";
import {Countdown, formatBytes, formatCount, serverTime} from "../widgets/time.js";
import {stringify} from "../document/json.js";
import {SessionLinks} from "./cache_sessions.js";

/** Milliseconds between two looks at whether it is still there. */
const LOOK_MS = 10000;
/** Milliseconds by which a TTL must be longer than expected to have been set again. */
const RENEWED_MS = 2000;

/** The page. `session`: the session from which a link led here. */
export function CacheEntry({cacheKey, session}) {
  const path = `/api/caches/${encodeURIComponent(cacheKey)}`;
  const {value, error, again} = useLoaded(path, {results: 0}, () => LOOK_MS);
  const received = useMemo(serverTime, [value]);
  const until = value && value.ttl_ms !== null ? received + value.ttl_ms : null;
  const version = useVersion(value, until);
  const results = useLoaded(version ? path : null, {version});
  const gone = error?.status === 404 && (value ?? results.value);
  const isLoading = !error && !(value && (results.value || results.error));
  return html`<div class="caches" aria-busy=${String(isLoading)}>
    <p><${Link} href="/caches">All cached queries</${Link}></p>
    <h1>Cached query <span class="mono"><${Text} value=${cacheKey} max=${80} /></span></h1>
    ${error && !gone && html`<${Problem} error=${error} onRetry=${again} />`}
    ${gone && html`<${Notice} kind="warn">It is not cached any more: it expired, was evicted, or was deleted. These were its
      results.</${Notice}>`}
    ${error?.status === 404 &&
    html`<p><${Link} href=${session ? pageUrl("/caches", {session}) : "/caches"}>Why is it not cached?</${Link}></p>`}
    ${!value && !error && html`<p role="status">Loading…</p>`}
    ${value && html`<${Facts} value=${value} until=${gone ? 0 : until} />`}
    ${results.error && !error && html`<${Problem} error=${results.error} onRetry=${results.again} />`}
    ${results.value && html`<${Results} value=${results.value} />`}
    <${Commands} lines=${commands(cacheKey, value?.query)} />
  </div>`;
}

/** A number that changes when other results were cached under the key. */
function useVersion(value, until) {
  const known = useRef({version: 0, until: null, bytes: null});
  if (value && (value.bytes !== known.current.bytes || Math.abs((until ?? 0) - (known.current.until ?? 0)) > RENEWED_MS)) {
    known.current = {version: known.current.version + 1, until, bytes: value.bytes};
  }
  return known.current.version;
}

function Facts({value, until}) {
  const {query} = value;
  return html`<dl class="facts">
    <dt>Cache key</dt>
    <dd><span class="mono">${value.cache_key}</span> <${CopyButton} text=${value.cache_key} label="copy the cache key" /></dd>
    <dt>Expires in</dt>
    <dd>${until === null ? "never: it has no TTL" : html`<${Countdown} until=${until} />`}</dd>
    <dt>Results</dt>
    <dd>${value.count === null ? "-" : formatCount(value.count)}</dd>
    <dt>Size</dt>
    <dd>${formatBytes(value.bytes)}</dd>
    <dt>Sessions with this query</dt>
    <dd>${value.sessions === null
      ? html`<span class="muted">not known yet</span>`
      : html`<${SessionLinks} row=${value} most=${20} />`}</dd>
    <dt>Query</dt>
    <dd>${query
      ? html`<code><${Text} value=${stringify(query.filters)} /></code>, sorted by <code><${Text}
          value=${stringify(query.sort)} /></code>. <${Link} href=${pageUrl("/caches", queryParams(query))}>Look for similar
          queries</${Link}>`
      : html`<span class="muted">not known: no live session has it, or it is too large to be shown</span>`}</dd>
    <dt>Server</dt>
    <dd><${Text} value=${value.where} /></dd>
  </dl>`;
}

function queryParams({filters, sort}) {
  return {filters: stringify(filters), sort: stringify(sort)};
}

function Results({value}) {
  if (value.problem) {
    return html`<${Notice} kind="error">The results are not shown. <${MarkedText} text=${value.problem} /></${Notice}>`;
  }
  return html`<section>
    <h2>Results</h2>
    ${value.results.length
      ? html`<${Tree} value=${value.results} label="Results" />`
      : html`<p>The query has no results; that is what is cached.</p>`}
  </section>`;
}

function commands(cacheKey, query) {
  const lines = [["awictl", "cache", "show", cacheKey], ["awictl", "cache", "list"]];
  if (query) {
    const {filters, sort} = queryParams(query);
    lines.push(["awictl", "cache", "diagnose", "--filters", filters, "--sort", sort]);
  }
  return lines;
}
