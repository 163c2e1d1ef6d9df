// What the pages load from the server: JSON, and streams of events that reconnect by themselves.

import {parseJson} from "../document/json.js";
import {urlOf} from "./url.js";

/** A request that failed; `status` is 0 if the server did not answer. */
export class ApiError extends Error {
  constructor({status, title, detail}) {
    super(detail || title || "the inspector does not answer");
    this.status = status;
    this.title = title || "No answer";
    this.detail = this.message;
  }
}

/** The JSON of an API path. Throws ApiError. */
export async function getJson(path, params, {signal} = {}) {
  return parseJson(await getText(path, params, {signal}));
}

/** The text of an API path. Throws ApiError. */
export async function getText(path, params, {signal} = {}) {
  let response;
  try {
    response = await fetch(urlOf(path, params), {signal, credentials: "same-origin", cache: "no-store"});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError({status: 0, detail: "The inspector does not answer: is `awictl ui` still running?"});
  }
  const text = await response.text();
  if (response.ok) return text;
  throw problemOf(response.status, text);
}

function problemOf(status, text) {
  if (status === 401) {
    return new ApiError({status, title: "No access", detail: "Open the link that `awictl ui` printed last."});
  }
  try {
    return new ApiError({...parseJson(text), status});
  } catch {
    return new ApiError({status, title: `Status ${status}`, detail: text.slice(0, 500)});
  }
}

const RETRY_MS = [500, 1000, 2000, 4000];

/**
 * Follow a stream of events until the returned function is called.
 *
 * `onEvent(name, value)` receives each event, also `problem`, after which the stream is opened again if that may help.
 * `onState(state)`: "connecting", "open" or "lost". While the tab is hidden the stream is closed, since a browser allows
 * only six connections to a server; it begins anew when the tab is shown.
 */
export function subscribe(path, params, {onEvent, onState = () => {}}) {
  let abort = null;
  let timer = null;
  let closed = false;
  let failures = 0;

  const connect = async () => {
    timer = null;
    if (closed || document.hidden) return;
    const own = new AbortController();
    abort = own;
    onState("connecting");
    let final = false;
    try {
      const response = await fetch(urlOf(path, params), {signal: own.signal, cache: "no-store"});
      if (!response.ok) {
        const problem = problemOf(response.status, await response.text());
        final = response.status < 500;
        onEvent("problem", problem);
      } else {
        onState("open");
        await readEvents(response.body, (name, value) => {
          if (own.signal.aborted) return;
          failures = 0;
          if (name === "problem") final = value.status < 500;
          onEvent(name, name === "problem" ? new ApiError(value) : value);
        });
      }
    } catch (error) {
      if (own.signal.aborted) return;
      if (error instanceof TypeError === false) console.error(error);
    }
    if (closed || own.signal.aborted || final) return;
    onState("lost");
    timer = setTimeout(connect, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
  };
  const stop = () => {
    clearTimeout(timer);
    abort?.abort();
  };
  const onVisibility = () => {
    stop();
    if (!document.hidden) connect();
  };
  document.addEventListener("visibilitychange", onVisibility);
  connect();
  return () => {
    closed = true;
    document.removeEventListener("visibilitychange", onVisibility);
    stop();
  };
}

/** Read server-sent events, each with one line of data, until the stream ends. */
async function readEvents(body, onEvent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let parts = [];
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    let rest = value;
    // an event ends with an empty line, which may begin in one chunk and end in the next
    if (parts.length && parts.at(-1).endsWith("\n")) rest = parts.pop() + rest;
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      const text = [...parts, rest.slice(0, end)].join("");
      parts = [];
      rest = rest.slice(end + 2);
      // not ".", which leaves out U+2028 and U+2029: JSON may have them
      const match = /^event: ([^\n]*)\ndata: ([^\n]*)$/.exec(text);
      if (match) onEvent(match[1], parseJson(match[2]));
    }
    if (rest) parts.push(rest);
  }
}
