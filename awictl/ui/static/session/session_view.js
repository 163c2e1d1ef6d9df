// Everything of the page of a session that needs no server; the offline file has it too.

import {html, useCallback, useMemo, useRef, useState} from "../vendor/preact-htm.js";
import {Notice} from "../widgets/notices.js";
import {Replay} from "../document/replay.js";
import {ActionPanel} from "./action_panel.js";
import {stepState} from "./changes.js";
import {Facts, SessionCommands} from "./facts.js";
import {GoTo, stepOf} from "./go_to.js";
import {usePermalink} from "./permalink.js";
import {Raw} from "./raw.js";
import {findStep, rowsOf} from "./rows.js";
import {KeysDialog, Scrubber, useKeys, usePlayer} from "./scrubber.js";
import {ChangesPanel, StatePanel} from "./state_panel.js";
import {Strip} from "./strip.js";
import {Timeline} from "./timeline.js";

/** Steps that Page Up and Page Down move by. */
const PAGE = 20;

/**
 * A session: timeline, scrubber, state and action.
 *
 * `payload`: the session as `GET /api/sessions/ID` returns it. `live`: what happened since then, or null:
 * `{changes, present: {head, expires, bytes, gone}, reload()}`; `changes` only grows, and `reload` is called if one of
 * them does not follow on what is known. `source`: what the server is needed for, or
 * null: `{raw()}`, which returns the stored string; links to other pages are shown only with it.
 */
export function SessionView({payload, live = null, source = null}) {
  const model = useMemo(() => ({replay: new Replay(payload), applied: 0}), [payload]);
  const changes = live?.changes ?? [];
  for (; model.applied < changes.length; model.applied += 1) {
    if (!model.replay.append(changes[model.applied])) live.reload();
    changes[model.applied] = null; // it may be large, and the replay has what is needed of it
  }
  const breaks = useMemo(() => new Set(payload.breaks), [payload]);
  const timeline = useMemo(() => rowsOf(model.replay.steps, payload.gaps, breaks), [model, model.replay.length]);
  const present = live?.present ?? {head: payload.head, expires: expiryOf(payload), bytes: payload.bytes};
  const raw = source && html`<${Raw} load=${source.raw} />`;
  const facts = useMemo(
    () => html`<${Facts} payload=${payload} present=${present} linked=${source !== null} />`,
    [payload, present.head, present.expires, present.bytes, present.gone],
  );
  const following = live !== null && !present.gone;
  const shared = {payload, timeline, model, breaks, following, version: model.applied};
  return html`<article class="session">
    ${facts}
    ${timeline.rows.length
      ? html`<${Steps} ...${shared} />`
      : html`<p>The session has no actions.</p>
        <${SessionCommands} id=${payload.session_id} live=${following} archived=${payload.place === "archived"} />`}
    ${raw}
  </article>`;
}

/** When a session expires, in milliseconds since 1970; null if it does not. */
export function expiryOf({now, ttl_ms: ttl}) {
  return ttl === null || ttl === undefined ? null : Date.parse(now) + ttl;
}

function Steps({payload, timeline, model, breaks, following, version}) {
  const {rows} = timeline;
  const last = rows.length - 1;
  const [compress, setCompress] = useState(true);
  const [help, setHelp] = useState(false);
  const field = useRef(null);
  const [chosen, choose] = usePermalink();
  // null: the newest step, whatever comes
  const found = chosen === null ? {index: last} : findStep(timeline, payload.gaps, chosen.key);
  const index = found.index ?? last;
  const row = rows[index];
  const goTo = useCallback(
    (to, options) => {
      const target = Math.min(Math.max(to, 0), last);
      choose(following && target === last ? null : {key: rows[target].key}, options);
    },
    [rows, last, following],
  );
  const jump = useCallback((to) => goTo(to, {push: true}), [goTo]);
  const player = usePlayer(rows, index, goTo);
  const failed = (by) => {
    let at = index + by;
    while (rows[at] && rows[at].outcome !== "failed") at += by;
    if (rows[at]) goTo(at);
  };
  useKeys({
    ArrowLeft: () => goTo(index - 1),
    ArrowRight: () => goTo(index + 1),
    PageUp: () => goTo(index - PAGE),
    PageDown: () => goTo(index + PAGE),
    Home: () => goTo(0),
    End: () => goTo(last),
    " ": player.toggle,
    "+": player.faster,
    "=": player.faster,
    "-": player.slower,
    n: () => failed(1),
    p: () => failed(-1),
    "/": () => field.current.focus(),
    "?": () => setHelp(true),
  });
  const find = (text) => stepOf(text, {timeline, steps: model.replay.steps, gaps: payload.gaps, index});
  const newer = useNewer(chosen, following, rows[last].ordinal);
  const change = useMemo(() => stepState(model.replay, breaks, index), [model, index, version]);
  return html`
    ${found.problem && html`<${Notice} kind="warn">${found.problem} Shown is the newest one.</${Notice}>`}
    <div class="controls">
      <${Strip} timeline=${timeline} index=${index} compress=${compress} onSelect=${goTo} />
      <${Scrubber} row=${row} count=${rows.length} player=${player} goTo=${goTo} newer=${newer} compress=${compress}
        following=${following && chosen === null}
        onCompress=${setCompress} onHelp=${() => setHelp(true)}>
        <${GoTo} field=${field} goTo=${jump} find=${find} />
      </${Scrubber}>
    </div>
    <div class="columns">
      <${Timeline} timeline=${timeline} index=${index} onSelect=${jump} goTo=${goTo} />
      <div class="details">
        <${ChangesPanel} found=${change} />
        <${ActionPanel} step=${model.replay.steps[index]} row=${row} />
        <${StatePanel} found=${change} row=${row} />
      </div>
    </div>
    <${SessionCommands} id=${payload.session_id} row=${row} live=${following}
      archived=${payload.place === "archived"} />
    <${KeysDialog} open=${help} onClose=${() => setHelp(false)} />`;
}

/** How many actions have come since a step was chosen. */
function useNewer(chosen, following, newest) {
  const seen = useRef(null);
  if (chosen === null || !following) seen.current = null;
  else seen.current ??= newest;
  return seen.current === null ? 0 : newest - seen.current;
}
