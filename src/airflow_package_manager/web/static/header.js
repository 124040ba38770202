/** The page's head: where we are, whether every component runs what is wanted, and whether all is well. */
import { get } from "./api.js";
import { fill, h } from "./dom.js";
import { duration, plural } from "./format.js";
import { icon } from "./icons.js";
import { button, notice, say, tonePill } from "./parts.js";
import { bus, setActive, state } from "./state.js";

/**
 * @typedef {import("./wire.d.ts").Components} Components
 * @typedef {import("./wire.d.ts").Health} Health
 * @typedef {import("./wire.d.ts").Operations} Operations
 * @typedef {[import("./parts.js").Tone, string, string]} Verdict tone, words, explanation
 */

/** @type {[string, string, import("./icons.js").Shape][]} */
const PLACES = [
  ["packages", "Packages", "box"],
  ["requirements", "Requirements file", "file"],
  ["components", "Components", "server"],
  ["history", "History", "clock"],
  ["audit", "Audit", "list"],
  ["health", "Health checks", "pulse"],
];

/** @type {{revision: number | null | undefined, sync: Verdict, health: Verdict}} */
const overview = {
  revision: undefined,
  sync: ["quiet", "…", "Being looked at"],
  health: ["quiet", "…", "Being looked at"],
};

/**
 * @param {Components} answer
 * @returns {Verdict}
 */
export function syncVerdict(answer) {
  const count = answer.components.length;
  const having = (/** @type {string[]} */ statuses) => answer.components.filter((one) => statuses.includes(one.status));
  const names = (/** @type {{name: string}[]} */ list) => list.map((one) => one.name).join(", ");
  if (count === 0) return ["unknown", "No components", "No component of Airflow is known here."];
  const bad = having(["Failed", "NotFound"]);
  if (bad.length) return ["bad", `${bad.length} of ${count} out of sync`, `Not on the wanted packages: ${names(bad)}`];
  const busy = having(["InProgress", "Terminating"]);
  if (busy.length) return ["busy", "Restarting", `Restarting: ${names(busy)}`];
  const current = having(["Current"]);
  if (current.length < count) {
    return ["unknown", `${count - current.length} of ${count} unknown`, "Some components do not say what they run."];
  }
  const unverified = answer.components.filter((one) => one.unverified !== null);
  if (unverified.length) return ["unknown", `${unverified.length} of ${count} not verified`, `Nobody can tell what they run: ${names(unverified)}`];
  return ["good", "In sync", `All ${plural(count, "component")} run the wanted packages.`];
}

/**
 * @param {Health} answer
 * @returns {Verdict}
 */
export function healthVerdict(answer) {
  const count = (/** @type {string} */ status) => answer.checks.filter((one) => one.status === status).length;
  if (count("failed")) return ["bad", plural(count("failed"), "problem"), "Open the health checks."];
  if (count("warning")) return ["warn", plural(count("warning"), "warning"), "Open the health checks."];
  if (count("unknown") || answer.checks.length === 0) return ["unknown", "Partly unknown", "Some checks gave no answer."];
  return ["good", "Healthy", `All ${plural(answer.checks.length, "check")} passed.`];
}

/** Asks anew what the head shows. @returns {Promise<string | null>} the active operation */
export async function refreshOverview() {
  const unknown = /** @type {Verdict} */ (["unknown", "Unknown", "The server gave no answer to this."]);
  const operations = get("operations?limit=1").then((/** @type {Operations} */ answer) => answer.active, () => null);
  void get("components").then(
    (/** @type {Components} */ answer) => {
      overview.revision = answer.revision;
      overview.sync = syncVerdict(answer);
    },
    () => { overview.sync = unknown; },
  ).then(tellOverview);
  void get("health").then(
    (/** @type {Health} */ answer) => { overview.health = healthVerdict(answer); },
    () => { overview.health = unknown; },
  ).then(tellOverview);
  const active = await operations;
  setActive(active);
  return active;
}

function tellOverview() {
  bus.dispatchEvent(new Event("overview"));
}

/** @param {Components} answer from a view that has just asked */
export function noteComponents(answer) {
  overview.revision = answer.revision;
  overview.sync = syncVerdict(answer);
  tellOverview();
}

/** @param {Health} answer */
export function noteHealth(answer) {
  overview.health = healthVerdict(answer);
  tellOverview();
}

export function header() {
  const status = h("div", { class: "axes" });
  const banners = h("div", { class: "banners" });
  const links = PLACES.map(([place, label, shape]) =>
    h("a", { href: `#/${place}`, "data-place": place }, icon(shape), h("span", null, label)),
  );
  const axis = (/** @type {string} */ label, /** @type {Verdict} */ [tone, words, why], /** @type {string} */ href) =>
    h("a", { class: "axis", href, title: why }, h("span", { class: "axis-label" }, label), tonePill(tone, words));
  const draw = () => {
    const revision = overview.revision;
    fill(
      status,
      h("a", { class: "axis", href: "#/history" }, h("span", { class: "axis-label" }, "Revision"),
        h("strong", { class: "axis-value" }, revision === undefined ? "…" : revision ?? "none yet")),
      axis("Sync", overview.sync, "#/components"),
      axis("Health", overview.health, "#/health"),
    );
  };
  const drawBanners = () => {
    const watching = window.location.hash.startsWith(`#/operations/${state.active}`);
    fill(
      banners,
      state.offlineSince !== null && restarting(state.offlineSince),
      state.active && !watching &&
        notice("busy", "again", "A change is being applied.", " ",
          h("a", { href: `#/operations/${state.active}` }, "Watch its progress")),
    );
  };
  for (const what of ["overview"]) bus.addEventListener(what, draw);
  for (const what of ["connection", "active", "place"]) bus.addEventListener(what, drawBanners);
  bus.addEventListener("connection", () => {
    say(state.offlineSince === null ? "Airflow’s server answers again." : "Airflow’s server is restarting, still asking.");
  });
  setInterval(() => { if (state.offlineSince !== null) drawBanners(); }, 1000);
  bus.addEventListener("place", (event) => {
    const at = /** @type {CustomEvent<string>} */ (event).detail;
    const place = { operations: "history", revisions: "history" }[at] ?? at;
    for (const link of links) {
      if (link.dataset["place"] === place) {
        link.setAttribute("aria-current", "page");
        link.scrollIntoView({ block: "nearest", inline: "nearest" });
      } else link.removeAttribute("aria-current");
    }
  });
  draw();
  return h(
    "header",
    { class: "head" },
    h("div", { class: "head-row" },
      h("h1", null, icon("layers", "head-icon"), "Package Manager"),
      status,
      button("Refresh", () => { void refreshOverview(); window.dispatchEvent(new HashChangeEvent("hashchange")); },
        { kind: "quiet", shape: "again", class: "btn act-quiet icon-only" }),
    ),
    h("nav", { "aria-label": "Package Manager" }, links),
    banners,
  );
}

/** @param {number} since */
function restarting(since) {
  return notice(
    "warn", "again", "Airflow’s server is restarting, still asking…",
    h("p", null, `No answer for ${duration((Date.now() - since) / 1000)}. What was begun goes on by itself; this page shows it as soon as the server is back.`),
  );
}
