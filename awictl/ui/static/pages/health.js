// The page "Health": what the doctor found, when keys expire, and what takes the memory.

import {html} from "../vendor/preact-htm.js";
import {Commands} from "../widgets/copy.js";
import {useLoaded} from "../frame/loaded.js";
import {MarkedText} from "../widgets/marked_text.js";
import {Notice, Problem} from "../widgets/notices.js";
import {Link, sessionUrl} from "../frame/router.js";
import {Text} from "../widgets/text.js";
import {Ago} from "../widgets/time.js";
import {KeyCharts} from "./health_charts.js";
import {Again, Progress, scanPause} from "./scans.js";

const SIGNS = {
  fail: {word: "failed", kind: "error"},
  warn: {word: "warning", kind: "warn"},
  pass: {word: "ok", kind: "ok"},
};
const ORDER = ["fail", "warn", "pass"];
/** Commands of the page; `doctor --fix` only shows what it would do. */
const COMMANDS = [
  ["awictl", "doctor"],
  ["awictl", "doctor", "--fix", "--dry-run"],
  ["awictl", "keys", "ttl"],
  ["awictl", "keys", "stats"],
];

/** Ids of sessions in a text, and of how many there are links. */
const SESSION_IDS = /(?<![A-Za-z0-9_-])sess_[A-Za-z0-9_-]{1,64}(?![A-Za-z0-9_-])/g;
const MAX_LINKS = 3;

/** The page. */
export function HealthPage() {
  const doctor = useLoaded("/api/health", {}, ({servers, data}) => scanPause(servers, data));
  const keys = useLoaded("/api/health/keys", {}, scanPause);
  const {value, error} = doctor;
  const checkAgain = () => {
    doctor.ask({again: 1});
    keys.ask({again: 1});
  };
  const isLoading =
    (!value && !error) || isFirst(value?.data, value?.data.checks) || isFirst(keys.value, keys.value?.kinds);
  return html`<div class="health" aria-busy=${String(isLoading)}>
    <h1>Health</h1>
    ${error && html`<${Problem} error=${error} onRetry=${doctor.again} />`}
    ${!value && !error && html`<p role="status">Checking…</p>`}
    ${value && html`<${Doctor} value=${value} onAgain=${checkAgain} />`}
    <${Keys} stats=${keys} />
    <${Commands} lines=${COMMANDS} />
  </div>`;
}

/** Whether the first result of a scan is awaited. */
function isFirst(scan, result) {
  return Boolean(scan?.running && !result);
}

function Doctor({value, onAgain}) {
  const {servers, data} = value;
  const checks = [...(servers.checks ?? []), ...(data.checks ?? [])];
  const counts = Object.fromEntries(ORDER.map((status) => [status, checks.filter((one) => one.status === status)]));
  const problems = [...counts.fail, ...counts.warn];
  return html`
    <div class="toolbar">
      <span role="status" class="counts">
        ${checks.length > 0 &&
        ORDER.map(
          (status) => html`<span key=${status} class=${`badge ${counts[status].length ? SIGNS[status].kind : ""}`}>
            ${counted(counts[status].length, status)}
          </span> `,
        )}
      </span>
      <${Again} scan=${data} busy=${servers.running || data.running} onAgain=${onAgain} />
      <span class="muted">
        ${servers.at && html`servers checked <${Ago} iso=${servers.at} />`}${data.at &&
        html`, stored data <${Ago} iso=${data.at} />`}
      </span>
    </div>
    <${Progress} scan=${data} what="Checking the stored data" />
    ${servers.problem && html`<${Notice} kind="error">The servers could not be checked: <${Text} value=${servers.problem} />
    </${Notice}>`}
    ${data.problem &&
    html`<${Notice} kind="error">The stored data could not be checked: <${Text} value=${data.problem} max=${2000} />${" "}
      ${data.at && html`What is shown of it was found <${Ago} iso=${data.at} />.`}
    </${Notice}>`}
    <section aria-label="Findings">
      <h2>Findings</h2>
      ${problems.map((one) => html`<${Finding} key=${one.check} check=${one} />`)}
      ${data.checks === null && data.running && html`<p role="status">Checking the stored data…</p>`}
      ${problems.length === 0 && data.checks !== null && html`<p>No check found a problem.</p>`}
    </section>
    ${counts.pass.length > 0 && html`<${Passed} checks=${counts.pass} />`}
  `;
}

function counted(count, status) {
  if (status === "pass") return `${count} passed`;
  return status === "fail" ? `${count} failed` : `${count} ${count === 1 ? "warning" : "warnings"}`;
}

function Finding({check}) {
  const {word, kind} = SIGNS[check.status];
  return html`<article class=${`finding ${kind}`} data-check=${check.check}>
    <h3><span class=${`badge ${kind}`}>${word}</span> <${Text} value=${check.check} /></h3>
    <p><${Text} value=${check.evidence} max=${2000} /></p>
    ${check.examples.length > 0 &&
    html`<ul class="examples" aria-label="Examples">
      ${check.examples.map((one, index) => html`<li key=${index}><${Example} text=${one} /></li>`)}
    </ul>`}
    ${check.remedy && html`<p class="remedy"><strong>What to do:</strong> <${MarkedText} text=${check.remedy} commands /></p>`}
  </article>`;
}

/** A key or an id, and what is said of it; with links to the sessions that it names. */
function Example({text}) {
  const ids = text.startsWith("AWI:DIFF:") ? [] : [...new Set(text.match(SESSION_IDS) ?? [])].slice(0, MAX_LINKS);
  return html`<span class="mono"><${Text} value=${text} max=${500} /></span>
    ${ids.map(
      (id) => html` <${Link} key=${id} href=${sessionUrl(id)}>show<span class=${ids.length > 1 ? "" : "visually-hidden"}>${" "}${ids.length > 1
        ? ""
        : "session "}${id}</span></${Link}>`,
    )}`;
}

function Passed({checks}) {
  return html`<details class="passed">
    <summary>${checks.length} ${checks.length === 1 ? "check" : "checks"} passed</summary>
    <table>
      <thead><tr><th scope="col">Check</th><th scope="col">Found</th></tr></thead>
      <tbody>
        ${checks.map(
          (one) => html`<tr key=${one.check}>
            <th scope="row"><${Text} value=${one.check} /></th>
            <td><${Text} value=${one.evidence} max=${2000} /></td>
          </tr>`,
        )}
      </tbody>
    </table>
  </details>`;
}

function Keys({stats}) {
  const {value, error} = stats;
  return html`
    ${error && !value && html`<${Problem} error=${error} onRetry=${stats.again} />`}
    ${value?.problem &&
    html`<${Notice} kind="error">The keys could not be counted: <${Text} value=${value.problem} max=${2000} />${" "}
      ${value.at && html`What is shown was counted <${Ago} iso=${value.at} />.`}
    </${Notice}>`}
    ${value?.running && !value.kinds && html`<p role="status">Counting the keys…</p>`}
    ${value && html`<${Progress} scan=${value} what="Counting the keys" />`}
    ${value?.kinds && html`<${KeyCharts} kinds=${value.kinds} at=${value.at} />`}
  `;
}
