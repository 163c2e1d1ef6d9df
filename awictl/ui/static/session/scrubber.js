// Moving through the steps: a slider, buttons, keys, and playing.

import {html, useEffect, useRef, useState} from "../vendor/preact-htm.js";
import {formatTime} from "../widgets/time.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64];
/** How long a step is shown when playing at normal speed, in milliseconds: long pauses are shortened. */
const [LONGEST, UNKNOWN] = [1500, 500];
/** How long a step is shown at least, at any speed, in milliseconds. */
const SHORTEST = 30;

/** What plays: `{playing, speed, toggle, stop, faster, slower}`. `goTo(index)` shows a step. */
export function usePlayer(rows, index, goTo) {
  const [playing, setPlaying] = useState(false);
  const [speed, setSpeed] = useState(1);
  const last = rows.length - 1;
  useEffect(() => {
    if (!playing) return undefined;
    if (index >= last) {
      setPlaying(false);
      return undefined;
    }
    const pause = Math.min(rows[index + 1].since ?? UNKNOWN, LONGEST) / speed;
    const timer = setTimeout(() => goTo(index + 1), Math.max(pause, SHORTEST));
    return () => clearTimeout(timer);
  }, [playing, speed, index, last]);
  const change = (by) => setSpeed((now) => SPEEDS[SPEEDS.indexOf(now) + by] ?? now);
  return {
    playing,
    speed,
    toggle: () => {
      if (!playing && index >= last) goTo(0);
      setPlaying(!playing);
    },
    stop: () => setPlaying(false),
    faster: () => change(1),
    slower: () => change(-1),
  };
}

/**
 * The slider and the buttons. `goTo(index)`: show a step; `newer`: how many have come while an older one is shown;
 * `following`: whether the newest one is shown, whatever comes.
 */
export function Scrubber({row, count, player, goTo, newer, following, compress, onCompress, onHelp, children}) {
  const {index} = row;
  const said = `action ${row.ordinal}: ${row.name}${row.outcome ? `, ${row.outcome}` : ""}` +
    (row.iso === null ? "" : `, ${formatTime(row.iso)}`);
  const button = (label, sign, target) => html`<button type="button" title=${label} aria-label=${label}
    disabled=${target === index} onClick=${() => goTo(target)}><span aria-hidden="true">${sign}</span></button>`;
  return html`<div class="scrubber">
    <input type="range" min="0" max=${Math.max(count - 1, 0)} step="1" value=${index} aria-label="Step"
      aria-valuetext=${said} disabled=${count < 2} onInput=${(event) => goTo(Number(event.target.value))} />
    <div class="buttons" role="group" aria-label="Steps">
      ${button("First step", "|◀", 0)}
      ${button("Previous step", "◁", Math.max(index - 1, 0))}
      <button type="button" class="play" disabled=${count < 2} onClick=${player.toggle}>
        <span aria-hidden="true">${player.playing ? "‖ " : "▶ "}</span>${player.playing ? "Pause" : "Play"}</button>
      ${button("Next step", "▷", Math.min(index + 1, count - 1))}
      ${button("Last step", "▶|", count - 1)}
      <button type="button" title="Slower" aria-label="Slower" onClick=${player.slower}>−</button>
      <span class="speed">${player.speed} ×</span>
      <button type="button" title="Faster" aria-label="Faster" onClick=${player.faster}>+</button>
      <span class="position">${(index + 1).toLocaleString("en")} of ${count.toLocaleString("en")}</span>
      ${following && html`<span class="badge ok" title="The newest action is shown as soon as it is there."
        >following</span>`}
      <label><input type="checkbox" checked=${compress} onChange=${(event) => onCompress(event.target.checked)}
        /> shorten idle time</label>
      ${newer > 0 && html`<button type="button" class="newer" onClick=${() => goTo(count - 1)}>${newer} newer</button>`}
      <button type="button" class="help" aria-haspopup="dialog" onClick=${onHelp}>Keys</button>
      ${children}
    </div>
  </div>`;
}

/** The keys and what they do, for the dialog. */
const KEYS = [
  ["← →", "previous and next step"],
  ["Page Up, Page Down", "20 steps back and forward"],
  ["Home, End", "first and last step"],
  ["Space", "play and pause, at the pace of the timestamps; long pauses are shortened"],
  ["+ −", "faster and slower"],
  ["N, P", "next and previous action that failed"],
  ["/", "go to an action: its number, a time in UTC, or a text in it"],
  ["?", "these keys"],
];

const TYPING = "input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable], dialog, pre";
const PRESSED = "button, a, summary, input[type=checkbox]";

const STORED = "awictl-keys";

function areKeysOff() {
  try {
    return localStorage.getItem(STORED) === "off";
  } catch {
    return false; // a file, or a browser that keeps nothing
  }
}

function turnKeys(on) {
  try {
    localStorage.setItem(STORED, on ? "on" : "off");
  } catch {
    // it is forgotten at the next visit
  }
}

let keysOff = areKeysOff();

/** Call `actions[key]` when a key is pressed, except where it means something else. */
export function useKeys(actions) {
  const latest = useRef(actions);
  latest.current = actions;
  useEffect(() => {
    const onKey = (event) => {
      const {target, key} = event;
      if (keysOff || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      const action = latest.current[key.length === 1 ? key.toLowerCase() : key];
      if (!action || !(target instanceof Element) || target.closest(TYPING)) return;
      if (key === " " && target.closest(PRESSED)) return;
      event.preventDefault();
      action();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

/** The list of keys, as a dialog. */
export function KeysDialog({open, onClose}) {
  const dialog = useRef(null);
  const [off, setOff] = useState(keysOff);
  const turn = (event) => {
    keysOff = !event.target.checked;
    turnKeys(event.target.checked);
    setOff(keysOff);
  };
  useEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
  }, [open]);
  return html`<dialog ref=${dialog} class="keys" aria-label="Keys" onClose=${onClose}>
    <h2>Keys</h2>
    <dl>${KEYS.map(([keys, what]) => html`<div key=${keys}><dt><kbd>${keys}</kbd></dt><dd>${what}</dd></div>`)}</dl>
    <p><label><input type="checkbox" checked=${!off} onChange=${turn} /> use these keys</label></p>
    <button type="button" onClick=${() => dialog.current.close()}>Close</button>
  </dialog>`;
}
