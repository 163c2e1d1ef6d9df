// When keys expire, and what takes the memory: tables whose rows have bars.

import {html, useState} from "../vendor/preact-htm.js";
import {Text} from "../widgets/text.js";
import {Ago, formatBytes, formatCount, formatDuration} from "../widgets/time.js";

const UNITS = [["h", 3600000], ["min", 60000], ["s", 1000]];

/** The upper bound of a bucket, in its largest unit. */
function bound(ms) {
  const [unit, size] = UNITS.find(([, one]) => ms >= one) ?? ["ms", 1];
  return `${ms / size} ${unit}`;
}

/** What a bucket is called; `from`, `below`: its bounds in milliseconds, `below` null for none. */
function labelOf(from, below) {
  if (below === null) return `${bound(from)} or more`;
  return from === undefined ? `less than ${bound(below)}` : `${bound(from)} to ${bound(below)}`;
}

/** The buckets of a kind from the first with keys to the last: `{label, count}`. */
export function bucketsOf(kind) {
  const all = kind.left.map(({below_ms, count}, index) => ({
    label: labelOf(kind.left[index - 1]?.below_ms, below_ms),
    count,
  }));
  const first = all.findIndex((one) => one.count);
  const last = all.findLastIndex((one) => one.count);
  const shown = first < 0 ? [] : all.slice(first, last + 1);
  return kind.without_ttl ? [...shown, {label: "never", count: kind.without_ttl}] : shown;
}

/** Whether the numbers of a kind are estimated from a sample. */
function isSampled(kind) {
  return kind.looked_at + kind.not_permitted < kind.count;
}

function estimate(kind, value, format = formatCount) {
  return `${isSampled(kind) && value ? "~" : ""}${format(value)}`;
}

/** Both charts. `kinds`: rows of `/api/health/keys`; `at`: when they were counted. */
export function KeyCharts({kinds, at}) {
  if (!kinds.length) return html`<section><h2>Keys</h2><p>There are no keys.</p></section>`;
  return html`<${Expiries} kinds=${kinds} at=${at} /><${Memory} kinds=${kinds} at=${at} />`;
}

function Expiries({kinds, at}) {
  const [chosen, setChosen] = useState("session");
  const kind = kinds.find((one) => one.kind === chosen) ?? kinds[0];
  const buckets = bucketsOf(kind);
  const most = Math.max(...buckets.map((one) => one.count), 1);
  return html`<section class="expiries">
    <h2>When keys expire</h2>
    <div class="toolbar">
      <label>Kind of key${" "}
        <select value=${kind.kind} onChange=${(event) => setChosen(event.target.value)}>
          ${kinds.map((one) => html`<option key=${one.kind} value=${one.kind}>${one.kind} (${formatCount(one.count)})</option>`)}
        </select>
      </label>
      <span class="muted">counted <${Ago} iso=${at} /></span>
    </div>
    <table class="chart">
      <caption class="visually-hidden">How many keys of the kind ${kind.kind} expire within which time</caption>
      <thead><tr><th scope="col">Expires in</th><th scope="col" class="number">Keys</th><${BarHead} /></tr></thead>
      <tbody>
        ${buckets.map(
          (one) => html`<tr key=${one.label}>
            <th scope="row">${one.label}</th>
            <td class="number">${estimate(kind, one.count)}</td>
            <${Bar} share=${one.count / most} />
          </tr>`,
        )}
      </tbody>
    </table>
    ${kind.not_permitted > 0 &&
    html`<p class="muted">${formatCount(kind.not_permitted)} keys could not be read: this user has no permission.</p>`}
    ${isSampled(kind) &&
    html`<p class="muted">Estimated (~) from ${formatCount(kind.looked_at)} of ${formatCount(kind.count)} keys.</p>`}
  </section>`;
}

function Memory({kinds, at}) {
  const known = kinds.every((one) => one.memory_bytes !== null);
  const sizeOf = (one) => (known ? one.memory_bytes : one.bytes);
  const rows = [...kinds].sort((a, b) => sizeOf(b) - sizeOf(a));
  const most = Math.max(...rows.map(sizeOf), 1);
  return html`<section class="memory">
    <h2>Memory by kind of key</h2>
    <p class="muted">
      ${known
        ? "Bars: memory in use, estimated (~) from some keys of each kind."
        : "Bars: length of the values. The server does not say how much memory keys use (MEMORY USAGE)."}
      ${" "}Counted <${Ago} iso=${at} />.
    </p>
    <div class="scroll" tabindex="0" role="region" aria-label="Memory by kind of key">
      <table class="chart wide">
        <thead>
          <tr>
            <th scope="col">Kind</th>
            <${BarHead} />
            <th scope="col" class="number">Memory</th>
            <th scope="col" class="number">Values</th>
            <th scope="col" class="number">Keys</th>
            <th scope="col" class="number">No TTL</th>
            <th scope="col">TTL: shortest, median, longest</th>
            <th scope="col">Largest</th>
          </tr>
        </thead>
        <tbody>
          ${rows.map((one) => html`<${Kind} key=${one.kind} kind=${one} share=${sizeOf(one) / most} />`)}
        </tbody>
      </table>
    </div>
  </section>`;
}

function Kind({kind, share}) {
  const {ttl_ms: ttl, biggest} = kind;
  return html`<tr>
    <th scope="row">${kind.kind}</th>
    <${Bar} share=${share} />
    <td class="number">${kind.memory_bytes === null ? "" : `~${formatBytes(kind.memory_bytes)}`}</td>
    <td class="number">${estimate(kind, kind.bytes, formatBytes)}</td>
    <td class="number">${formatCount(kind.count)}</td>
    <td class="number">${estimate(kind, kind.without_ttl)}</td>
    <td>${ttl ? [ttl.min, ttl.median, ttl.max].map(formatDuration).join(", ") : ""}</td>
    <td>${biggest.length > 0 &&
      html`${isSampled(kind) ? "at least " : ""}${formatBytes(biggest[0].bytes)}${" "}
        <span class="mono"><${Text} value=${biggest[0].key} max=${80} /></span>`}</td>
  </tr>`;
}

function BarHead() {
  return html`<td class="bar" aria-hidden="true"></td>`;
}

/** A bar for the eye; the number is in the row. `share`: of the longest bar. */
function Bar({share}) {
  return html`<td class="bar" aria-hidden="true">
    <svg width="100%" height="12"><rect width=${`${share > 0 ? Math.max(share * 100, 0.5) : 0}%`} height="12" rx="2" /></svg>
  </td>`;
}
