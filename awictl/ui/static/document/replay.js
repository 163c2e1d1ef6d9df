/* The states of a session, computed from its deltas as `document/history/timeline.py` does. */

import {difference} from "./difference.js";
import {equal, has, isObject, setKey} from "./json.js";
import {OPEN, UNKNOWN, applyDelta, ownCopy} from "./merge.js";
import {corrected, knownPart} from "./partial.js";

/* One state in so many is kept, and so many of the last ones that were looked at; of a state with many fields, fewer. */
const KEPT = {every: 64, recent: 24};
const KEPT_IF_LARGE = {every: 1024, recent: 4};
const LARGE = 20_000;
const START = "session_start";
const END = "session_end";
const TOO_DEEP = "The state is nested too deeply for this browser.";

/** The states of a session by the index of a step. `payload`: what `GET /api/sessions/ID` returns. */
export class Replay {
  #payload;
  #keyframes = new Map();
  /* Indexes of the steps that were not overwritten; and by index of a step, how many of them are up to it. */
  #kept = [];
  #counts = [];
  #checkpoints = new Map();
  #recent = new Map();
  #results = new Map();
  #limits;

  constructor(payload) {
    this.#payload = payload;
    this.#limits = fieldsIn(payload.head, LARGE) < LARGE ? KEPT : KEPT_IF_LARGE;
    this.steps = [];
    payload.keyframes.forEach((one) => this.#keyframes.set(one.index, one));
    this.#add(payload.steps);
  }

  /** How many steps there are. */
  get length() {
    return this.steps.length;
  }

  /** The index of the action with an ordinal, of one that was overwritten only if there is no other; -1 if none has. */
  indexOfOrdinal(ordinal) {
    let [low, high] = [0, this.#kept.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.steps[this.#kept[middle]].ordinal < ordinal) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    const index = this.#kept[low];
    return this.steps[index]?.ordinal === ordinal ? index : this.steps.findIndex((one) => one.ordinal === ordinal);
  }

  /**
   * The state after a step: `{head, unknown, conflicts, step}`, the same object while it is remembered. `head` is the
   * document without its actions, as far as it is known, and must not be modified; `unknown` and `conflicts` are JSON
   * pointers. With `error`, a text, if it cannot be computed.
   */
  stateAt(index) {
    const step = this.steps[index];
    if (step === undefined) {
      throw new RangeError(`there is no step ${index}`);
    }
    return this.#remembered(this.#results, index, () => {
      try {
        return {...this.#result(this.#counts[index] - 1), step};
      } catch (error) {
        if (!(error instanceof RangeError)) {
          throw error;
        }
        return {head: {}, unknown: [""], conflicts: [], step, error: TOO_DEEP};
      }
    });
  }

  /** What a step changed, as `difference` returns it: without the history; nothing if no earlier state is known. */
  changesAt(index) {
    const rank = this.#counts[index] - 1;
    if (rank < 1 || this.steps[index].overwritten) {
      return new Map();
    }
    const [before, after] = [this.stateAt(this.#kept[rank - 1]), this.stateAt(index)];
    const [old, now] = [before, after].map(({head}) => ({...head, history: null}));
    try {
      return difference(old, now, before.unknown, after.unknown);
    } catch (error) {
      if (!(error instanceof RangeError)) {
        throw error;
      }
      return new Map();
    }
  }

  /**
   * Add what happened since: `{steps, head}`. Returns whether that follows what is known; if not, the session has to be
   * read again.
   */
  append({steps, head}) {
    const last = this.steps.at(-1)?.ordinal ?? -1;
    const added = steps.filter((one) => one.ordinal > last);
    if (added.some((one, at) => one.overwritten || one.ordinal !== last + 1 + at)) {
      return false;
    }
    if (added.length && this.#kept.length) {
      this.#settle(this.#kept.length - 1);
    }
    this.#payload = {...this.#payload, head, unknown: []};
    this.#results.clear();
    this.#add(added);
    return true;
  }

  #add(steps) {
    for (const one of steps) {
      if (!one.overwritten) {
        this.#kept.push(this.steps.length);
      }
      this.steps.push(one);
      this.#counts.push(this.#kept.length);
    }
  }

  /* The newest state, which is known as it was stored, becomes one that is computed. */
  #settle(rank) {
    const stored = without(this.#payload.head, "history");
    if (!this.#isReplayed(rank, stored)) {
      const keyframe = {index: this.#kept[rank], head: stored, unknown: this.#payload.unknown, conflicts: []};
      this.#keyframes.set(keyframe.index, keyframe);
      this.#checkpoints.delete(rank);
      this.#recent.delete(rank);
    }
  }

  #isReplayed(rank, stored) {
    if (rank === 0 || this.#payload.states_error) {
      return false;
    }
    try {
      return equal(...[stored, knownPart(this.#partial(rank)).value].map(withoutTimes));
    } catch (error) {
      if (!(error instanceof RangeError)) {
        throw error;
      }
      return false;
    }
  }

  /* The state after a step that was not overwritten, of which `rank` is the number. */
  #result(rank) {
    const {head, unknown, states_error: error} = this.#payload;
    if (rank < 0) {
      return {head: {}, unknown: [""], conflicts: []};
    }
    if (rank === this.#kept.length - 1) {
      return {head, unknown, conflicts: []};
    }
    if (error) {
      return {head: {}, unknown: [""], conflicts: [], error};
    }
    const known = knownPart(this.#partial(rank));
    const state = {};
    for (const name of new Set([...Object.keys(head), ...Object.keys(known.value)])) {
      if (name === "history") {
        setKey(state, name, this.#historyAt(rank));
      } else if (has(known.value, name)) {
        setKey(state, name, known.value[name]);
      }
    }
    return {head: state, unknown: known.unknown, conflicts: this.#conflictsAt(rank)};
  }

  #historyAt(rank) {
    const {ordinal, action} = this.steps[this.#kept[rank]];
    const missing = ordinal - rank;
    return {
      ...without(this.#payload.head.history, "trimmed_actions"),
      last_action: isRecord(action, START) ? null : action,
      ...(missing ? {trimmed_actions: missing} : {}),
    };
  }

  #conflictsAt(rank) {
    for (; rank >= 0; rank -= 1) {
      const conflicts = this.#keyframes.get(this.#kept[rank])?.conflicts;
      if (conflicts) {
        return conflicts;
      }
    }
    return [];
  }

  /* The same as far as it is known, with markers for what is not. */
  #partial(rank) {
    const found = this.#recent.get(rank) ?? this.#checkpoints.get(rank);
    return found ?? this.#remembered(this.#recent, rank, () => this.#computed(rank));
  }

  /* A value from a map of the last ones; `make` makes it. */
  #remembered(map, key, make) {
    const value = map.has(key) ? map.get(key) : make();
    map.delete(key);
    map.set(key, value);
    while (map.size > this.#limits.recent) {
      map.delete(map.keys().next().value);
    }
    return value;
  }

  #computed(rank) {
    if (this.#isWhole(rank)) {
      return this.#after(undefined, rank, new Set());
    }
    let from = rank - 1;
    let state;
    while ((state = this.#recent.get(from) ?? this.#checkpoints.get(from)) === undefined && !this.#isWhole(from)) {
      from -= 1;
      if (from < 0) {
        throw new Error("The first step has no keyframe.");
      }
    }
    // objects that were made on the way are changed in place until a state is kept
    let owned = new Set();
    for (let at = state === undefined ? from : from + 1; at < rank; at += 1) {
      state = this.#after(state, at, owned);
      if (at % this.#limits.every === 0) {
        this.#checkpoints.set(at, state);
        owned = new Set();
      }
    }
    this.#recent.set(rank - 1, state);
    return this.#after(state, rank, new Set());
  }

  #isWhole(rank) {
    return this.#keyframes.get(this.#kept[rank])?.head !== undefined;
  }

  #after(state, rank, owned) {
    const index = this.#kept[rank];
    const keyframe = this.#keyframes.get(index);
    if (keyframe?.head === undefined) {
      state = applied(state, this.steps[index].action, this.#payload.fixed, owned);
    }
    return keyframe === undefined ? state : corrected(state, keyframe, owned);
  }
}

/* The state after an action; see `document/history/partial_update.py`. */
function applied(state, action, fixed, owned) {
  const record = isObject(action) ? action : {};
  const delta = deltaOf(record);
  const after = delta === null ? unchanging(state, fixed) : applyDelta(state, delta, owned);
  if (isRecord(record, START)) {
    return after;
  }
  const now = has(record, "timestamp") ? record.timestamp : UNKNOWN;
  if (has(after, "statistics") && isObject(after.statistics)) {
    after.statistics = counted(ownCopy(after.statistics, owned), record, now);
  }
  after.last_updated = now;
  return after;
}

function deltaOf(record) {
  const isBoundary = record.action === START || record.action === END;
  const delta = has(record, "delta") ? record.delta : isBoundary ? {} : null;
  return isObject(delta) ? delta : null;
}

function counted(statistics, record, now) {
  if (isRecord(record, END)) {
    statistics.session_end = now;
    return statistics;
  }
  for (const name of ["total_actions", record.success === false ? "failed_actions" : "successful_actions"]) {
    const count = has(statistics, name) ? statistics[name] : statistics[OPEN] ? UNKNOWN : 0;
    if (typeof count === "bigint") {
      statistics[name] = count + 1n;
    } else if (Number.isInteger(count)) {
      statistics[name] = count + 1;
    }
  }
  statistics.last_activity = now;
  return statistics;
}

/* Whether an action is the start or the end of a session, which have no outcome. */
function isRecord(action, name) {
  return isObject(action) && action.action === name && !has(action, "success");
}

function unchanging(state, fixed) {
  const made = {[OPEN]: true};
  fixed.filter((name) => has(state, name)).forEach((name) => setKey(made, name, state[name]));
  return made;
}

function without(object, name) {
  const copy = {...object};
  delete copy[name];
  return copy;
}

function withoutTimes(state) {
  const {statistics} = state;
  return {
    ...state,
    last_updated: null,
    statistics: isObject(statistics) ? {...statistics, last_activity: null} : statistics,
  };
}

/* How many fields the objects in a value have; if there are more than `most`, some number above it. */
function fieldsIn(value, most) {
  const pending = [value];
  let count = 0;
  while (pending.length && count <= most) {
    const one = pending.pop();
    if (isObject(one)) {
      const values = Object.values(one);
      count += values.length;
      values.forEach((inner) => pending.push(inner));
    }
  }
  return count;
}
