// The chosen step in the address: #t=17.

import {useCallback, useEffect, useRef, useState} from "../vendor/preact-htm.js";

/** Browsers refuse to change the address too often: it follows after so many milliseconds. */
const DELAY_MS = 150;

function fromAddress() {
  const match = /^#t=(.*)$/.exec(window.location.hash);
  return match ? {key: match[1]} : null;
}

/**
 * The chosen step, `{key}`, or null for the newest: `[chosen, choose(chosen, {push})]`.
 *
 * `push`: with an entry of its own in the browser's history.
 */
export function usePermalink() {
  const [chosen, setChosen] = useState(fromAddress);
  const timer = useRef(null);
  const wanted = useRef(null);
  const write = (push) => {
    clearTimeout(timer.current);
    timer.current = null;
    const hash = wanted.current === null ? "" : `#t=${wanted.current.key}`;
    if (hash === window.location.hash) return;
    const {pathname, search} = window.location;
    window.history[push ? "pushState" : "replaceState"](window.history.state, "", pathname + search + hash);
  };
  useEffect(() => {
    const onMove = () => {
      clearTimeout(timer.current);
      timer.current = null;
      setChosen(fromAddress());
    };
    window.addEventListener("popstate", onMove);
    window.addEventListener("hashchange", onMove);
    return () => {
      clearTimeout(timer.current);
      window.removeEventListener("popstate", onMove);
      window.removeEventListener("hashchange", onMove);
    };
  }, []);
  const choose = useCallback((next, {push = false, silent = false} = {}) => {
    setChosen(next);
    if (silent) return;
    wanted.current = next;
    if (push) {
      if (timer.current !== null) write(false);
      write(true);
    } else {
      timer.current ??= setTimeout(() => write(false), DELAY_MS);
    }
  }, []);
  return [chosen, choose];
}
