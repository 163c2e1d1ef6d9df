// Why a query is or is not cached: a form, and what was found.

import {html, useEffect, useMemo, useState} from "../vendor/preact-htm.js";
import {Commands, CopyButton} from "../widgets/copy.js";
import {useLoaded} from "../frame/loaded.js";
import {MarkedText} from "../widgets/marked_text.js";
import {Problem} from "../widgets/notices.js";
import {Link, navigate, pageUrl, sessionUrl} from "../frame/router.js";
import {Text} from "../widgets/text.js";
import {Ago, Countdown, formatBytes, formatCount, serverTime} from "../widgets/time.js";
import {stringify} from "../document/json.js";

/** What to do about a difference to a query that is cached. */
const ADVICE = {
  order: "Send the keys in one order, wherever the query is made: the key is a hash of the JSON text, in which the order counts.",
  type: 'Send values with one type, wherever the query is made: 2 and "2" are different.',
  text: "Spell texts in one way, wherever the query is made: upper and lower case and spaces count.",
  array: "Send lists in one form and order, wherever the query is made: the order counts, and so does a list of one value.",
  sort: "Send the sort order in one form, wherever the query is made; one that is left out is another one.",
  filter: "This is another query: its results have to be cached themselves.",
};
const NAMES = ["filters", "sort", "session"];

/** The form, and the diagnosis of the query in the address. `query`: the parameters of the address. */
export function Diagnosis({query}) {
  const asked = NAMES.some((name) => query[name] !== undefined);
  const params = Object.fromEntries(NAMES.map((name) => [name, query[name]]));
  const {value, error, busy: isBusy, again} = useLoaded(asked ? "/api/caches/diagnose" : null, params);
  const busy = asked && isBusy;
  return html`<section class="diagnosis" aria-label="Why is a query not cached?" aria-busy=${String(busy)}>
    <details open=${asked}>
      <summary><h2>Why is a query not cached?</h2></summary>
      <${Form} query=${query} busy=${busy} onSame=${again} />
      <div role="status" class=${busy ? "" : "visually-hidden"}>
        ${busy ? "Looking for it, and for similar queries…" : value && !error && (value.hit ? "It is cached." : "It is not cached.")}
      </div>
      ${error && html`<${Problem} error=${error} onRetry=${again} />`}
      ${value && !busy && !error && html`<${Found} value=${value} query=${query} />`}
    </details>
  </section>`;
}

function Form({query, busy, onSame}) {
  const [filters, setFilters] = useState(query.filters ?? "");
  const [sort, setSort] = useState(query.sort ?? "");
  const [session, setSession] = useState(query.session ?? "");
  // not a new form for each address: that would take the focus away
  useEffect(() => {
    setFilters(query.filters ?? "");
    setSort(query.sort ?? "");
    setSession(query.session ?? "");
  }, [query.filters, query.sort, query.session]);
  const onSubmit = (event) => {
    event.preventDefault();
    if (busy) return;
    const url = session.trim()
      ? pageUrl("/caches", {session: session.trim()})
      : pageUrl("/caches", {filters: filters.trim() || "{}", sort: sort.trim() || "{}"});
    if (url === location.pathname + location.search) onSame();
    else navigate(url);
  };
  return html`<form onSubmit=${onSubmit} class="diagnose">
    <div class="field">
      <label for="diagnose-filters">Filters (JSON)</label>
      <textarea id="diagnose-filters" class="mono" rows="3" spellcheck=${false} placeholder='{"tag":"awi","page":2}'
        value=${filters} disabled=${session.trim() !== ""} onInput=${(event) => setFilters(event.target.value)}></textarea>
    </div>
    <div class="field">
      <label for="diagnose-sort">Sort order (JSON)</label>
      <textarea id="diagnose-sort" class="mono" rows="3" spellcheck=${false} placeholder='{"key":"date","order":"desc"}'
        value=${sort} disabled=${session.trim() !== ""} onInput=${(event) => setSort(event.target.value)}></textarea>
    </div>
    <div class="field">
      <label for="diagnose-session">or the query of a session (id)</label>
      <input id="diagnose-session" class="mono" spellcheck=${false} value=${session}
        onInput=${(event) => setSession(event.target.value)} />
      <button type="submit" aria-disabled=${busy ? "true" : null}>Diagnose</button>
    </div>
  </form>`;
}

function Found({value, query}) {
  const received = useMemo(serverTime, [value]);
  const until = (ttl) => (ttl === null ? null : received + ttl);
  const {filters, sort} = value.query;
  return html`<div class="found">
    <p class="verdict">
      <span class=${`badge ${value.hit ? "ok" : "warn"}`}>${value.hit ? "cached" : "not cached"}</span>${" "}
      <strong>${!value.hit && html`<${MarkedText} text=${value.verdict} />`}</strong>
    </p>
    <dl class="facts">
      <dt>Query</dt>
      <dd><code><${Text} value=${stringify(filters ?? {})} /></code>, sorted by <code><${Text}
        value=${stringify(sort ?? {})} /></code></dd>
      <dt>Cache key</dt>
      <dd>
        <span class="mono">${value.hit
          ? html`<${Link} href=${`/caches/${value.cache_key}`}>${value.cache_key}</${Link}>`
          : value.cache_key}</span> <${CopyButton} text=${value.cache_key} label="copy the cache key" />
      </dd>
      ${value.hit
        ? html`<dt>Expires in</dt>
            <dd><${Countdown} until=${until(value.ttl_ms)} /></dd>
            <dt>Results</dt>
            <dd>${value.count === null ? "-" : formatCount(value.count)}, ${formatBytes(value.bytes)}</dd>`
        : html`<dt>Looked for</dt>
            <dd>${formatCount(value.looked_at)} cache keys: this one, other spellings, and those of sessions</dd>`}
      ${value.sessions.length > 0 &&
      html`<dt>Sessions with this query</dt>
        <dd>${value.sessions.slice(0, 20).map((one) => html`<${CachedBy} key=${one.session_id} one=${one} />`)}
          ${value.sessions.length > 20 && html`<span class="muted">and ${formatCount(value.sessions.length - 20)} more</span>`}
        </dd>`}
      ${value.near.length > 0 && html`<dt>What to do</dt><dd>${ADVICE[value.near[0].difference]}</dd>`}
    </dl>
    ${value.near.length > 0 && html`<${Near} near=${value.near} until=${until} />`}
    <${Commands} lines=${commands(value.query, query.session)} />
  </div>`;
}

function CachedBy({one}) {
  return html`<div><${Link} href=${sessionUrl(one.session_id)} class="mono"><${Text} value=${one.session_id} /></${Link}>
    ${one.age_ms !== null && html` cached it <${Ago} iso=${one.cached_at} />`}</div>`;
}

/** The similar queries that are cached. */
function Near({near, until}) {
  return html`<h3>Similar queries that are cached</h3>
    <div class="scroll" tabindex="0" role="region" aria-label="Similar queries that are cached">
      <table class="near">
        <thead>
          <tr>
            <th scope="col">Difference</th><th scope="col">Filters</th><th scope="col">Sort order</th>
            <th scope="col">Key</th><th scope="col" class="number">Expires in</th>
          </tr>
        </thead>
        <tbody>
          ${near.map(
            (one) => html`<tr key=${one.cache_key}>
              <td><span class="badge">${one.difference}</span> <${Text} value=${one.words} /></td>
              <td><code><${Text} value=${stringify(one.filters ?? {})} /></code></td>
              <td><code><${Text} value=${stringify(one.sort ?? {})} /></code></td>
              <td><${Link} href=${`/caches/${encodeURIComponent(one.cache_key)}`} class="mono"><${Text}
                value=${one.cache_key} max=${64} /></${Link}></td>
              <td class="number"><${Countdown} until=${until(one.ttl_ms)} /></td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}

function commands({filters, sort}, session) {
  if (session) return [["awictl", "cache", "diagnose", "--session", session]];
  const words = ["--filters", stringify(filters ?? {}), "--sort", stringify(sort ?? {})];
  return [["awictl", "cache", "diagnose", ...words], ["awictl", "cache", "key", ...words]];
}
