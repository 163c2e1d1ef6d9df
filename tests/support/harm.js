// What must not be in a page, whatever its data: evaluated in the page; returns what was found.
(scripts) => {
  const found = [];
  const LOADED = /^(href|src|action|formaction|xlink:href|data|poster|srcset|ping|background)$/i;
  const NEVER = [
    "iframe", "frame", "object", "embed", "base", "form[action]", "meta[http-equiv=refresh]", "math", "audio", "video",
    "source", "area", "portal", "[autofocus]",
  ];
  // what changes the direction of text, or hides in it: it has to be shown as an escape
  const HIDDEN = new RegExp(
    "[\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e" +
      "\\u2060-\\u206f\\ufeff\\u{e0000}-\\u{e007f}]",
    "u",
  );
  const isOwn = (text) => {
    if (text === "data:,") return true; // the empty icon of a page that is one file
    try {
      const url = new URL(text, location.href);
      return url.origin === location.origin && /^(https?|file):$/.test(url.protocol);
    } catch {
      return false;
    }
  };
  if (window.harmed !== undefined) found.push(`code ran: ${window.harmed}`);
  for (const name of ["harmed", "isAdmin", "__html"]) {
    if ({}[name] !== undefined) found.push(`polluted: ${name}`);
  }
  if (document.scripts.length !== scripts) found.push(`${document.scripts.length} scripts`);
  for (const one of document.querySelectorAll(NEVER.join())) found.push(one.outerHTML.slice(0, 200));
  for (const one of document.querySelectorAll("*")) {
    for (const {name, value} of one.attributes) {
      if (/^on/i.test(name) || name === "srcdoc" || (LOADED.test(name) && !isOwn(value))) {
        found.push(`${one.tagName} ${name}=${value.slice(0, 100)}`);
      }
      if (HIDDEN.test(value) && name !== "value") found.push(`${name} of ${one.outerHTML.slice(0, 200)}`);
    }
  }
  const walker = document.createTreeWalker(document, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const {data, parentElement} = walker.currentNode;
    if (!parentElement?.closest("script, textarea") && HIDDEN.test(data)) {
      found.push(`text in ${parentElement?.outerHTML.slice(0, 100)}: ${JSON.stringify(data.slice(0, 80))}`);
    }
  }
  if (document.title.length > 500) found.push(`title of ${document.title.length} characters`);
  return [...new Set(found)].slice(0, 20);
};
