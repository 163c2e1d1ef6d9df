// The frame around the pages: navigation, what is inspected, and the theme.

import {html, render, useEffect, useRef, useState} from "./vendor/preact-htm.js";
import {getJson} from "./frame/api.js";
import {Problem} from "./widgets/notices.js";
import {Link, useLocation} from "./frame/router.js";
import {Text, visible} from "./widgets/text.js";
import {learnTime} from "./widgets/time.js";
import {ThemeButton, applyTheme} from "./frame/theme.js";
import {AgentsPage} from "./pages/agents.js";
import {CachesPage} from "./pages/caches.js";
import {ComparePage} from "./pages/compare.js";
import {HealthPage} from "./pages/health.js";
import {SessionPage} from "./pages/session.js";
import {SessionsPage} from "./pages/sessions.js";

const PAGES = [
  {path: "/sessions", title: "Sessions", page: SessionsPage, detail: SessionPage},
  {path: "/compare", title: "Compare", page: ComparePage},
  {path: "/agents", title: "Agents", page: AgentsPage, detail: AgentsPage},
  {path: "/caches", title: "Caches", page: CachesPage, detail: CachesPage},
  {path: "/health", title: "Health", page: HealthPage},
];

/** Maximum length of an id in the title of the document. */
const MOST_TITLE = 200;

/** The page of a path, and the id in it. */
function pageOf(path) {
  if (path === "/") return {...PAGES[0], id: null};
  const found = PAGES.find((one) => path === one.path || path.startsWith(`${one.path}/`));
  if (!found) return null;
  const id = decoded(path.slice(found.path.length + 1));
  return id ? {...found, page: found.detail, id} : {...found, id: null};
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // not an address that the inspector made
  }
}

/** Go to the page by keyboard; the address stays as it is, since it may name an action. */
function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function App() {
  const place = useLocation();
  const [about, setAbout] = useState(null);
  const [error, setError] = useState(null);
  const found = pageOf(place.path);
  useEffect(() => {
    const load = async () => {
      try {
        const value = await getJson("/api/about");
        learnTime(value.now);
        setAbout(value);
        setError(null);
      } catch (failure) {
        setError(failure);
      }
    };
    load();
    const timer = setInterval(() => document.hidden || load(), 30000);
    return () => clearInterval(timer);
  }, []);
  const isFirst = useRef(true);
  useEffect(() => {
    // what had the focus may be gone: keys and screen readers go on in the new page
    if (!isFirst.current) document.getElementById("main").focus({preventScroll: true});
    isFirst.current = false;
  }, [place.path]);
  useEffect(() => {
    document.title = `${visible(found?.id ?? found?.title ?? "Not found").slice(0, MOST_TITLE)} · awictl`;
  }, [found?.id, found?.title]);
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the page</a>
    <header class="shell">
      <nav aria-label="Pages">
        <${Link} href="/sessions" class="brand"><img src="/static/icon.svg" alt="" width="20" height="20" /> awictl</${Link}>
        ${PAGES.map(
          (one) => html`<${Link} key=${one.path} href=${one.path} aria-current=${found?.path === one.path ? "page" : null}>
            ${one.title}
          </${Link}>`,
        )}
      </nav>
      <div class="about">${about && html`<${About} about=${about} />`}<${ThemeButton} /></div>
    </header>
    <main id="main" tabindex="-1">
      ${error && html`<${Problem} error=${error} />`}
      ${found?.page
        ? html`<${found.page} key=${found.path + (found.id ?? "")} id=${found.id} location=${place} about=${about} />`
        : html`<h1>Not found</h1><p>The inspector has no such page.</p>`}
    </main>
  `;
}

function About({about}) {
  return html`<span class="where">
    ${about.profile && html`<strong><${Text} value=${about.profile} /></strong> `}
    <span class="muted"><${Text} value=${about.redis} /></span>
    <span class="badge">read-only</span>${about.redaction && html`<span class="badge">redacted</span>`}
  </span>`;
}

applyTheme();
render(html`<${App} />`, document.getElementById("app"));
