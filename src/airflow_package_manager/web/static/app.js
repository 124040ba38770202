/** Starts the page: who am I, the header, the places, and the one view that is shown. */
import { get, Offline, Problem, remember } from "./api.js";
import { fill, h } from "./dom.js";
import { header, refreshOverview } from "./header.js";
import { empty } from "./parts.js";
import { pause } from "./poll.js";
import { loginButton, problemNotice } from "./problem.js";
import { bus, connection, last, setLast, state } from "./state.js";
import { tray } from "./tray.js";
import { showAudit } from "./views/audit.js";
import { showComponents } from "./views/components.js";
import { showHealth } from "./views/health.js";
import { showHistory } from "./views/history.js";
import { showOperation } from "./views/operation.js";
import { showPackages } from "./views/packages.js";
import { showRequirements } from "./views/requirements.js";
import { showRevision } from "./views/revision.js";

/**
 * @typedef {(main: HTMLElement, parameters: string[], signal: AbortSignal) => void} View
 * @type {Record<string, View>}
 */
const VIEWS = {
  packages: showPackages,
  requirements: showRequirements,
  components: showComponents,
  history: showHistory,
  audit: showAudit,
  health: showHealth,
  operations: showOperation,
  revisions: showRevision,
};

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
let leaving = new AbortController();

async function start() {
  let waiting = false;
  for (;;) {
    try {
      state.session = await get("session");
      break;
    } catch (error) {
      if (error instanceof Offline) {
        if (!waiting) fill(root, h("main", { class: "alone" }, title(), serverAway()));
        waiting = true;
        await pause(2000, leaving.signal);
      } else {
        fill(root, h("main", { class: "alone" }, title(), closed(error)));
        return;
      }
    }
  }
  if (state.session) remember(state.session);
  connection(true);
  build();
}

function title() {
  return h("h1", { class: "visually-hidden" }, "Package Manager");
}

function serverAway() {
  return empty(
    "offline",
    "Airflow’s server does not answer",
    "It may be starting or restarting. This page keeps asking and opens by itself.",
    h("span", { class: "spinner", role: "status" }, h("span", { class: "visually-hidden" }, "Still asking")),
  );
}

/** @param {unknown} error */
function closed(error) {
  if (error instanceof Problem && error.status === 401) {
    return empty("person", "You are not logged in", "Log in to Airflow, then open Admin → Package Manager again.", loginButton());
  }
  if (error instanceof Problem && error.status === 403) {
    return empty(
      "lock",
      "You may not use the Package Manager",
      [error.detail, " ", error.nextAction],
      h("p", { class: "muted small" }, "Nothing on this page was loaded, and nothing was changed."),
    );
  }
  return problemNotice(error);
}

function build() {
  const main = h("main", { id: "main", tabindex: "-1" });
  fill(
    root,
    h("a", { class: "skip", href: "#main", onclick: (/** @type {Event} */ event) => { event.preventDefault(); main.focus(); } }, "Skip to content"),
    header(),
    main,
    tray(),
    h("div", { id: "announcements", class: "visually-hidden", "aria-live": "polite" }),
  );
  window.addEventListener("hashchange", () => show(main, true));
  void refreshOverview().then((active) => {
    const came = active ?? last();
    if (window.location.hash === "" && came) window.location.replace(`#/operations/${encodeURIComponent(came)}`);
    else show(main, false);
  });
}

/**
 * @param {HTMLElement} main
 * @param {boolean} focus
 */
function show(main, focus) {
  leaving.abort();
  leaving = new AbortController();
  const [place = "packages", ...parameters] = window.location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decode);
  const view = VIEWS[place];
  if (place !== "operations") setLast(null); // a reload comes back to an operation only from the operation itself
  bus.dispatchEvent(new CustomEvent("place", { detail: place }));
  window.scrollTo(0, 0);
  if (!view) {
    fill(main, empty("search", "There is nothing here", "The address names no part of this page.", h("a", { class: "btn act-secondary", href: "#/packages" }, "Go to Packages")));
    return;
  }
  fill(main);
  view(main, parameters, leaving.signal);
  if (focus) main.focus({ preventScroll: true });
}

/** @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

void start();
