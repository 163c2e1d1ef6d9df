// Times, durations and sizes, and texts that go on with the clock.

import {html, useEffect, useState} from "../vendor/preact-htm.js";

let serverOffset = 0;

/** Learn from a response how far the clock of this machine is from the server's. `now`: ISO 8601. */
export function learnTime(now) {
  const then = Date.parse(now);
  if (!Number.isNaN(then)) serverOffset = then - Date.now();
}

/** The time of the server in milliseconds since 1970. */
export function serverTime() {
  return Date.now() + serverOffset;
}

const UNITS = [
  ["d", 86400000],
  ["h", 3600000],
  ["m", 60000],
  ["s", 1000],
];

/** A duration in its two largest units, such as `4m 05s`; below a second in milliseconds. */
export function formatDuration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "-";
  if (ms < 0) return `-${formatDuration(-ms)}`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const at = UNITS.findIndex(([, size]) => ms >= size);
  const [unit, size] = UNITS[at];
  const whole = Math.floor(ms / size);
  if (at === UNITS.length - 1) return `${whole} s`;
  const [next, part] = UNITS[at + 1];
  return `${whole}${unit} ${String(Math.floor((ms % size) / part)).padStart(2, "0")}${next}`;
}

/** A size in bytes, such as `12.3 KiB`. */
export function formatBytes(bytes) {
  if (bytes === null || bytes === undefined) return "-";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = Number(bytes);
  let at = 0;
  while (size >= 1024 && at < units.length - 1) {
    size /= 1024;
    at += 1;
  }
  return at ? `${size.toFixed(size < 10 ? 1 : 0)} ${units[at]}` : `${size} B`;
}

/** A whole number with separators. */
export function formatCount(count) {
  return count === null || count === undefined ? "-" : Number(count).toLocaleString("en");
}

/** A time of day with milliseconds, in UTC as it is stored; the text itself if it is none. */
export function formatTime(iso) {
  const then = Date.parse(iso);
  return Number.isNaN(then) ? String(iso ?? "-") : new Date(then).toISOString().slice(11, 23);
}

/** A date and time with milliseconds, in UTC; the text itself if it is none. */
export function formatMoment(iso) {
  const then = Date.parse(iso);
  return Number.isNaN(then) ? String(iso ?? "-") : new Date(then).toISOString().slice(0, 23).replace("T", " ");
}

/** A date and time in UTC; the text itself if it is none. */
export function formatDate(iso) {
  const then = Date.parse(iso);
  return Number.isNaN(then) ? String(iso ?? "-") : new Date(then).toISOString().slice(0, 19).replace("T", " ");
}

const ticking = new Set();
let ticker = null;

/** Render a component again each second. Returns the time of the server in milliseconds. */
export function useClock() {
  const [now, setNow] = useState(serverTime);
  useEffect(() => {
    const tick = () => setNow(serverTime());
    ticking.add(tick);
    ticker ??= setInterval(() => ticking.forEach((one) => one()), 1000);
    return () => {
      ticking.delete(tick);
      if (!ticking.size) {
        clearInterval(ticker);
        ticker = null;
      }
    };
  }, []);
  return now;
}

/** How long ago something was. */
export function Ago({iso}) {
  const now = useClock();
  const then = Date.parse(iso);
  if (Number.isNaN(then)) return html`<span class="muted">-</span>`;
  return html`<time datetime=${iso} title=${`${formatDate(iso)} UTC`}>${ago(now - then)}</time>`;
}

function ago(ms) {
  return ms < 1000 ? "now" : `${formatDuration(Math.floor(ms / 1000) * 1000)} ago`.replace(".0 s", " s");
}

/** The time until something, counting down. `until`: milliseconds since 1970, of the server. */
export function Countdown({until}) {
  const now = useClock();
  if (until === null || until === undefined) return html`<span class="muted" title="no TTL">-</span>`;
  const left = until - now;
  return html`<span class=${left < 120000 ? "warn" : ""}>${left <= 0 ? "expired" : clock(left)}</span>`;
}

function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (number) => String(number).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
