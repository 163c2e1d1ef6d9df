// JSON pointers (RFC 6901) to members, and previews of values.

import {keysOf} from "../document/json.js";

/** The pointer to the object that has a member, and the key of the member; null for the document itself. */
export function splitPointer(place) {
  const cut = place.lastIndexOf("/");
  return cut < 0 ? null : {parent: place.slice(0, cut), key: keysOf(place.slice(cut))[0]};
}

/** Whether a JSON value is an object or an array. */
export function isContainer(value) {
  return typeof value === "object" && value !== null;
}

/** The number of members of an object or array. */
export function sizeOf(value) {
  return Array.isArray(value) ? value.length : Object.keys(value).length;
}

/** A count with its noun: "1 field", "3 fields". */
export function plural(count, noun, nouns = `${noun}s`) {
  return `${count < 1000 ? count : count.toLocaleString("en")} ${count === 1 ? noun : nouns}`;
}

/** The beginning of a value as JSON, of about `max` characters; large values are not read to their end. */
export function brief(value, max = 100) {
  const parts = [];
  let left = max;
  const add = (text) => {
    parts.push(text.length > left ? text.slice(0, Math.max(left, 0)) : text);
    left -= text.length;
  };
  const walk = (one, depth) => {
    if (typeof one === "string") {
      add(JSON.stringify(one.length > left ? one.slice(0, left + 1) : one));
    } else if (!isContainer(one)) {
      add(String(one));
    } else if (depth > 4) {
      add(Array.isArray(one) ? "[…]" : "{…}");
    } else {
      const list = Array.isArray(one);
      const keys = list ? one.keys() : Object.keys(one);
      add(list ? "[" : "{");
      let first = true;
      for (const key of keys) {
        if (left <= 0) break;
        add(first ? "" : ", ");
        first = false;
        if (!list) add(`${JSON.stringify(key.slice(0, left + 1))}: `);
        walk(one[key], depth + 1);
      }
      add(list ? "]" : "}");
    }
  };
  walk(value, 0);
  return left < 0 ? `${parts.join("")}…` : parts.join("");
}
