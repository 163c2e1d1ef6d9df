// A scan that the server makes for all pages: a button for a new one, and how far it is.

import {html, useEffect, useMemo, useRef, useState} from "../vendor/preact-htm.js";
import {formatCount} from "../widgets/time.js";

/** Milliseconds after which a page looks for a new result: usually, and while the server scans. */
const IDLE_MS = 10000;
const SCANNING_MS = 300;

/** Milliseconds until a page asks again for the results of scans; for `useLoaded`. */
export function scanPause(...scans) {
  return scans.some((one) => one.running) ? SCANNING_MS : IDLE_MS;
}

/** Milliseconds for which it is said that a new scan is not possible yet. */
const SAID_MS = 6000;

/**
 * A button that asks for a new scan. `scan`: the report of the one that may not be possible yet, which the button then
 * says; `busy`: whether one runs.
 */
export function Again({scan, busy, onAgain, label = "Check again"}) {
  const [message, setMessage] = useState("");
  const received = useMemo(() => performance.now(), [scan]);
  const timer = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  const onClick = () => {
    clearTimeout(timer.current);
    const left = busy ? 0 : Math.ceil((scan.again_ms - (performance.now() - received)) / 1000);
    setMessage(left > 0 ? `Keys are not scanned more often than every ten seconds: possible in ${left} s.` : "");
    timer.current = setTimeout(() => setMessage(""), SAID_MS);
    onAgain();
  };
  return html`<button type="button" onClick=${onClick} aria-disabled=${busy ? "true" : null}>
      ${busy ? "Checking…" : label}</button
    ><span role="status" class="muted">${message}</span>`;
}

/** How far a scan is; nothing if none runs, or it has only begun. `size`: of what it scans, if that is known. */
export function Progress({scan, what, noun = "keys"}) {
  if (!scan.running || !scan.visited) return null;
  const size = scan.size ? Math.max(scan.size, scan.visited) : null;
  return html`<p class="progress">
    <label>${what} <progress max=${size ?? null} value=${size ? scan.visited : null}></progress></label>
    <span class="muted">${formatCount(scan.visited)}${size ? ` of ${formatCount(size)}` : ""} ${noun}</span>
  </p>`;
}
