// The page that is shown is the one of the path; links change the path without loading a new document.

import {html, useEffect, useState} from "../vendor/preact-htm.js";
import {urlOf} from "./url.js";

const listeners = new Set();

function current() {
  return {
    path: location.pathname,
    query: Object.fromEntries(new URLSearchParams(location.search)),
    hash: location.hash.slice(1),
  };
}

function notify() {
  for (const listener of listeners) listener(current());
}

if (typeof window !== "undefined") {
  window.addEventListener("popstate", notify);
  window.addEventListener("hashchange", notify);
}

/** The address of a path with parameters; those that are undefined, null or "" are left out. */
export function pageUrl(path, params = {}, hash = "") {
  return urlOf(path, params) + (hash ? `#${hash}` : "");
}

/** The path of what has a name, such as `/agents/NAME`. A part of a character in the name becomes `\ufffd`. */
export function pathOf(folder, name) {
  return `/${folder}/${encodeURIComponent(String(name).toWellFormed())}`;
}

/** The address of the page of a session; `ordinal`: of the action to show. */
export function sessionUrl(id, ordinal) {
  return pageUrl(pathOf("sessions", id), {}, ordinal === undefined ? "" : `t=${ordinal}`);
}

/** Show another page, or the same one with other parameters. `replace`: without a new entry in the history. */
export function navigate(url, {replace = false} = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", url);
  notify();
}

/** The current place: `{path, query, hash}`; the path is encoded, `query` is an object. */
export function useLocation() {
  const [place, setPlace] = useState(current);
  useEffect(() => {
    listeners.add(setPlace);
    setPlace(current());
    return () => listeners.delete(setPlace);
  }, []);
  return place;
}

/** A link to another page of the inspector. */
export function Link({href, children, ...rest}) {
  const onClick = (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(href);
    window.scrollTo(0, 0);
  };
  return html`<a href=${href} onClick=${onClick} ...${rest}>${children}</a>`;
}
