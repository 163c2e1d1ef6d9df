// Load a path of the API once, and again if that may help.

import {useCallback, useEffect, useRef, useState} from "../vendor/preact-htm.js";
import {getJson} from "./api.js";
import {learnTime} from "../widgets/time.js";

const RETRY_MS = 2000;

/**
 * The JSON of an API path: `{value, error, busy, again, ask}`.
 *
 * `value`: the last answer, which stays until there is another one; `error`: why the last request failed; `busy`:
 * whether a request runs; `again()` loads it now, `ask(more)` with further parameters. `pause(value)`: milliseconds
 * until it is loaded again, or null. After an error that may pass it is tried again. Nothing is loaded again while the
 * tab is hidden. `path` null: load nothing.
 */
export function useLoaded(path, params = {}, pause = () => null) {
  const [state, setState] = useState({value: null, error: null, path: null, busy: false});
  const start = useRef(() => {});
  const key = JSON.stringify(params);
  useEffect(() => {
    if (path === null) return undefined;
    let timer = null;
    let own = null;
    let due = false;
    const wait = (ms) => {
      if (ms !== null) timer = setTimeout(() => (document.hidden ? (due = true) : load()), ms);
    };
    const load = async (more = {}) => {
      clearTimeout(timer);
      own?.abort();
      const abort = new AbortController();
      own = abort;
      due = false;
      setState((before) => ({...before, busy: true}));
      try {
        const value = await getJson(path, {...JSON.parse(key), ...more}, {signal: abort.signal});
        if (abort.signal.aborted) return;
        learnTime(value.now);
        setState({value, error: null, path, busy: false});
        wait(pause(value));
      } catch (error) {
        if (abort.signal.aborted) return;
        setState((before) => ({value: before.path === path ? before.value : null, error, path, busy: false}));
        wait(!error.status || error.status >= 500 ? RETRY_MS : null);
      }
    };
    const onVisibility = () => !document.hidden && due && load();
    start.current = load;
    document.addEventListener("visibilitychange", onVisibility);
    load();
    return () => {
      clearTimeout(timer);
      own?.abort();
      document.removeEventListener("visibilitychange", onVisibility);
    };
  }, [path, key]);
  const again = useCallback(() => start.current(), []);
  const ask = useCallback((more) => start.current(more), []);
  const own = state.path === path;
  return {value: own ? state.value : null, error: own ? state.error : null, busy: state.busy, again, ask};
}
