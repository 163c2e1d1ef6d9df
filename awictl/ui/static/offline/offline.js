// The page of one session as one file: `awictl session export ID --html FILE`. Its data is in the file itself.

import {html, render} from "../vendor/preact-htm.js";
import {parseJson} from "../document/json.js";
import {SessionView} from "../session/session_view.js";
import {ThemeButton, applyTheme} from "../frame/theme.js";

function start() {
  const app = document.getElementById("app");
  applyTheme();
  render(html`<${ThemeButton} />`, document.getElementById("theme"));
  try {
    const payload = parseJson(document.getElementById("payload").textContent);
    app.textContent = "";
    render(html`<${SessionView} payload=${payload} />`, app);
  } catch (error) {
    app.textContent = `This browser cannot show the session: ${error.message}`;
    throw error;
  }
}

start();
