/* JSON with the number rules of awictl: integers are exact to 64 bits, beyond that they are doubles.
 *
 * Integers that a double cannot hold are BigInt. Objects are plain objects, and may have any key of their own, such as
 * `__proto__`: read keys with `has`, and set them with `setKey`.
 */

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;
/* A number that may be too long for a double; a string that looks like one does no harm. */
const LONG_NUMBER = /[:,[\s]-?\d{16}|^-?\d{16}/;

/** Parse a JSON text. Throws SyntaxError. */
export function parseJson(text) {
  return LONG_NUMBER.test(text) ? JSON.parse(text, exact) : JSON.parse(text);
}

function exact(key, value, context) {
  if (typeof value !== "number" || Number.isSafeInteger(value) || !/^-?\d+$/.test(context?.source ?? "")) {
    return value;
  }
  const integer = BigInt(context.source);
  return integer >= INT64_MIN && integer <= UINT64_MAX ? integer : value;
}

/** The JSON text of a value. Throws RangeError if it is nested too deeply. */
export function stringify(value, indent) {
  try {
    return JSON.stringify(value, undefined, indent);
  } catch (error) {
    if (!(error instanceof TypeError)) {
      throw error;
    }
    return JSON.stringify(value, rawInteger, indent); // it has a BigInt
  }
}

function rawInteger(key, value) {
  return typeof value === "bigint" ? JSON.rawJSON(String(value)) : value;
}

/** Whether two values are equal as JSON: the order of keys is ignored, and 1 equals 1.0. Never true for markers. */
export function equal(a, b) {
  if (a === b) {
    return true;
  }
  if (typeof a === "bigint" || typeof b === "bigint") {
    return ["bigint", "number"].includes(typeof a) && ["bigint", "number"].includes(typeof b) && a == b;
  }
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) {
    return false;
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((one, at) => equal(one, b[at]));
  }
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => has(b, key) && equal(a[key], b[key]));
}

/** Whether a value is a JSON object. */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether an object has a key of its own. */
export function has(object, key) {
  return Object.hasOwn(object, key);
}

/** Set a key of an object, whatever its name is. */
export function setKey(object, key, value) {
  if (key === "__proto__") {
    Object.defineProperty(object, key, {value, writable: true, enumerable: true, configurable: true});
  } else {
    object[key] = value;
  }
}

/** A copy of an object with another value for a key. */
export function withKey(object, key, value) {
  const copy = {...object};
  setKey(copy, key, value);
  return copy;
}

/** The JSON pointer (RFC 6901) to a key, or an index, of what is at `path`. */
export function pointer(path, key) {
  return `${path}/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

/** The keys of a JSON pointer, from the outermost on. */
export function keysOf(place) {
  return place.split("/").slice(1).map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The value at a JSON pointer; undefined if there is none. */
export function valueAt(value, place) {
  for (const key of keysOf(place)) {
    if (typeof value !== "object" || value === null || !has(value, key)) {
      return undefined;
    }
    value = value[key];
  }
  return value;
}
