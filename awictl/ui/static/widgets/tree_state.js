// What a tree shows open, and what it marks.

import {pointer} from "../document/json.js";
import {isContainer, sizeOf, splitPointer} from "../session/pointers.js";

/** Members that are shown of an object or array at first, and that a click on "more" adds. */
const PAGE_SIZE = 100;
/** Containers are opened by themselves for so many changes at most. */
const MAX_SHOWN_CHANGES = 50;
/** "Expand all" opens so many objects and arrays at most, and none that is deeper. */
const MAX_OPENED = 500;
const MAX_OPENED_DEPTH = 40;

/** What is open. Unless a user chose otherwise: small objects and arrays near the root. */
export class Expansion {
  constructor() {
    this.pageSize = PAGE_SIZE;
    this.revision = 0;
    this.detail = null;
    this.chosen = new Map();
    this.limits = new Map();
    this.everything = null;
  }

  /**
   * Whether a container is open. `needed`: whether it is unless it was closed by hand; `changed`: whether something in it
   * changed, so that it is unless everything was closed.
   */
  isOpen(place, value, depth, needed, changed) {
    const chosen = this.chosen.get(place);
    if (chosen !== undefined || this.everything === false) return chosen ?? needed;
    return needed || changed || (depth < 2 && place !== "/history" && sizeOf(value) <= 30);
  }

  toggle(place, open) {
    this.chosen.set(place, open);
    this.revision += 1;
  }

  showDetail(place) {
    this.detail = place;
    this.revision += 1;
  }

  limitOf(place) {
    return this.limits.get(place) ?? PAGE_SIZE;
  }

  showMore(place) {
    this.limits.set(place, this.limitOf(place) + PAGE_SIZE);
    this.revision += 1;
  }

  closeAll() {
    this.chosen.clear();
    this.everything = false;
    this.revision += 1;
  }

  /** Open a value's containers, outer ones first. Returns whether there are more than are opened at once. */
  openAll(value) {
    this.chosen.clear();
    this.everything = true;
    this.revision += 1;
    const waiting = [["", value, 0]];
    for (let next = 0; next < waiting.length; next += 1) {
      const [place, one, depth] = waiting[next];
      if (next > MAX_OPENED || depth > MAX_OPENED_DEPTH) {
        return true;
      }
      this.chosen.set(place, true);
      let seen = 0;
      for (const key of Array.isArray(one) ? one.keys() : Object.keys(one)) {
        seen += 1;
        if (seen > PAGE_SIZE) {
          break;
        }
        if (isContainer(one[key])) {
          waiting.push([pointer(place, key), one[key], depth + 1]);
        }
      }
    }
    return false;
  }
}

/** What is marked in a tree, and how many marks are beneath each place. */
export class Marks {
  constructor(changes, unknown, conflicts) {
    this.changes = changes;
    this.unknown = new Set(unknown);
    this.conflicts = new Set(conflicts);
    this.beneath = new Map();
    this.absent = new Map();
    this.changed = new Set();
    const showing = changes.size <= MAX_SHOWN_CHANGES;
    for (const place of new Set([...changes.keys(), ...this.unknown, ...this.conflicts])) {
      this.count(place);
      if (showing && changes.has(place)) this.addAncestors(place);
    }
  }

  addAncestors(place) {
    for (let end = place.lastIndexOf("/"); end > 0; end = place.lastIndexOf("/", end - 1)) {
      this.changed.add(place.slice(0, end));
    }
  }

  count(place) {
    const split = splitPointer(place);
    const change = this.changes.get(place);
    if (split !== null && (this.unknown.has(place) || change?.kind === "removed" || change?.kind === "unknown")) {
      const list = this.absent.get(split.parent);
      if (list) {
        list.push(place);
      } else {
        this.absent.set(split.parent, [place]);
      }
    }
    for (let end = place.length; end >= 0; end = end > 0 ? place.lastIndexOf("/", end - 1) : -1) {
      const path = place.slice(0, end);
      this.beneath.set(path, (this.beneath.get(path) ?? 0) + 1);
    }
  }

  isTouched(place) {
    return this.beneath.has(place);
  }

  /** Whether a container is opened to show what changed in it. */
  hasChanges(place) {
    return this.changed.has(place);
  }

  countBeneath(place) {
    return this.beneath.get(place) ?? 0;
  }

  /** Pointers to members of an object that may not be in it. */
  absentIn(place) {
    return this.absent.get(place) ?? [];
  }
}
