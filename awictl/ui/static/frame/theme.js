// Dark or light: as the system, unless the user chose one.

import {html, useState} from "../vendor/preact-htm.js";

const KEY = "awictl-theme";
const THEMES = ["auto", "light", "dark"];

function stored() {
  try {
    const theme = localStorage.getItem(KEY);
    return THEMES.includes(theme) ? theme : "auto";
  } catch {
    return "auto";
  }
}

/** Apply the theme that the user chose last. */
export function applyTheme(theme = stored()) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** A button that changes the theme: as the system, light, dark. */
export function ThemeButton() {
  const [theme, setTheme] = useState(stored);
  const change = () => {
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // a browser that keeps nothing forgets it at the next visit
    }
    applyTheme(next);
    setTheme(next);
  };
  return html`<button type="button" class="small" onClick=${change} title="theme: as the system, light, or dark">
    theme: ${theme}
  </button>`;
}
