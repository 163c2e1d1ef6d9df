// The page "Session": finds it, and follows it while it lives.

import {html, useEffect, useMemo, useReducer, useState} from "../vendor/preact-htm.js";
import {getText, subscribe} from "../frame/api.js";
import {Commands} from "../widgets/copy.js";
import {Notice, Problem, StreamState} from "../widgets/notices.js";
import {Raw} from "../session/raw.js";
import {pathOf} from "../frame/router.js";
import {SessionView, expiryOf} from "../session/session_view.js";
import {Text} from "../widgets/text.js";
import {learnTime} from "../widgets/time.js";

/** What the page knows of a session, from the events of its stream. */
class Followed {
  constructor(reload) {
    this.reload = reload;
    this.payload = null;
    this.live = null;
    this.error = null;
    this.banner = null;
  }

  receive(name, value) {
    if (value.now) learnTime(value.now);
    if (name === "session") {
      this.payload = value;
      this.error = null;
      const present = {head: value.head, expires: expiryOf(value), bytes: value.bytes};
      this.live = value.place === "live" ? {changes: [], present, reload: this.reload} : null;
    } else if (name === "change" && this.live) {
      this.live.changes.push(value);
      this.live = {...this.live, present: {head: value.head, expires: expiryOf(value), bytes: value.bytes}};
    } else if (name === "ttl" && this.live) {
      this.live = {...this.live, present: {...this.live.present, expires: expiryOf(value)}};
    } else if (name === "gone") {
      this.banner = {kind: "warn", text: value.message};
      if (this.live) this.live = {...this.live, present: {...this.live.present, gone: true}};
    } else if (name === "away") {
      this.banner = {kind: "warn", text: `The session cannot be followed at the moment: ${value.message}`};
    } else if (name === "back") {
      this.banner = null;
    } else if (name === "unreadable" || name === "problem") {
      this.error = value;
    }
  }
}

/** The page of the session with this id. */
export function SessionPage({id}) {
  const [, update] = useReducer((count) => count + 1, 0);
  const [state, setState] = useState("connecting");
  const [attempt, retry] = useReducer((count) => count + 1, 0);
  const followed = useMemo(() => new Followed(() => setTimeout(retry)), [id]);
  const path = `/api${pathOf("sessions", id)}`;
  useEffect(
    () =>
      subscribe(`${path}/events`, {}, {
        onEvent: (name, value) => {
          followed.receive(name, value);
          update();
        },
        onState: setState,
      }),
    [path, attempt],
  );
  const source = useMemo(() => ({raw: () => getText(`${path}/raw`)}), [path]);
  const {payload, live, error, banner} = followed;
  return html`
    <${StreamState} state=${state} />
    ${banner && html`<${Notice} kind=${banner.kind}><${Text} value=${banner.text} max=${1000} /></${Notice}>`}
    ${error && html`<${Unreadable} id=${id} error=${error} source=${source} known=${payload !== null}
      onRetry=${retry} />`}
    ${payload && html`<${SessionView} payload=${payload} live=${live} source=${source} />`}
    ${!payload && !error && html`<h1>Session <${Text} value=${id} /></h1><p role="status" aria-busy="true">Reading the session…</p>`}`;
}

/** Why a session cannot be shown, and what is stored of it. */
function Unreadable({id, error, source, known, onRetry}) {
  return html`
    ${!known && html`<h1>Session <${Text} value=${id} /></h1>`}
    <${Problem} error=${error} onRetry=${onRetry} />
    ${!known && html`
      ${error.status === 422 && html`<${Raw} load=${source.raw} />`}
      <${Commands} lines=${[
        ["awictl", "session", "show", id],
        error.status === 422 && ["awictl", "session", "show", "-o", "raw", id],
        ["awictl", "session", "list"],
      ].filter(Boolean)} />`}`;
}
