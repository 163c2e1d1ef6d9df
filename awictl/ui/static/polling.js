// Load a path again and again while its page is open.

import {useCallback, useEffect, useRef, useState} from "./vendor/preact-htm.js";
import {getJson} from "./api.js";
import {learnTime} from "./time.js";

/** Milliseconds between two requests: usually, while the server is busy with the answer, and after an error. */
const IDLE_MS = 10000;
const BUSY_MS = 300;
const ERROR_MS = 3000;

/**
 * The JSON of an API path, loaded again every ten seconds, sooner while `isBusy(value)`, and not while the tab is hidden.
 *
 * Returns `{value, error, again}`. `value`: the last answer, which stays if a later request fails; `error`: why the last
 * request failed; `again()`: load it now, with `again=1`. `path` null: load nothing.
 */
export function usePolled(path, params = {}, isBusy = (value) => value.running) {
  const [state, setState] = useState({value: null, error: null, path: null});
  const start = useRef(() => {});
  const key = JSON.stringify(params);
  useEffect(() => {
    if (path === null) return undefined;
    let timer = null;
    let own = null;
    const load = async (more) => {
      clearTimeout(timer);
      own?.abort();
      const abort = new AbortController();
      own = abort;
      let wait = IDLE_MS;
      try {
        const value = await getJson(path, {...JSON.parse(key), ...more}, {signal: abort.signal});
        if (abort.signal.aborted) return;
        learnTime(value.now);
        setState({value, error: null, path});
        if (isBusy(value)) wait = BUSY_MS;
      } catch (error) {
        if (abort.signal.aborted) return;
        setState((before) => ({value: before.path === path ? before.value : null, error, path}));
        wait = ERROR_MS;
      }
      own = null;
      timer = setTimeout(() => document.hidden || load({}), wait);
    };
    const onVisibility = () => document.hidden || own || load({});
    start.current = () => load({again: 1});
    document.addEventListener("visibilitychange", onVisibility);
    load({});
    return () => {
      clearTimeout(timer);
      own?.abort();
      own = null;
      document.removeEventListener("visibilitychange", onVisibility);
    };
  }, [path, key]);
  const again = useCallback(() => start.current(), []);
  return {value: state.path === path ? state.value : null, error: state.path === path ? state.error : null, again};
}
