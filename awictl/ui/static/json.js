// JSON.

/** The value of a JSON text. */
export function parseJson(text) {
  return JSON.parse(text);
}
