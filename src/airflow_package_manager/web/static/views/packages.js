/** "Installed Packages": requested, locked, installed; filter, and the way to every edit. */
import { get } from "../api.js";
import { fill, h, uniqueId } from "../dom.js";
import { plural } from "../format.js";
import { button, card, empty, notice } from "../parts.js";
import { planFrom } from "../planning.js";
import { load } from "../problem.js";
import { lookAgain } from "../releases.js";
import { bus, may } from "../state.js";
import { packageDialog } from "./package_dialog.js";
import { packageRow } from "./package_row.js";

/**
 * @typedef {import("../wire.d.ts").Package} Package
 * @typedef {import("../wire.d.ts").Packages} Packages
 * @typedef {"requested" | "added" | "image" | "all"} Scope
 */

/** @type {Record<Scope, [string, string, (row: Package) => boolean]>} */
const SCOPES = {
  requested: ["Requested", "Named in requirements.txt.", (row) => row.requested !== null],
  added: ["With dependencies", "Named in requirements.txt, and what came along.", (row) => row.requested !== null || row.locked !== null],
  image: ["From the image", "What Airflow’s image brings.", (row) => row.image !== null],
  all: ["All", "Everything that is known.", () => true],
};
/** @type {[string, string][]} */
const ONLY = [
  ["", "Any state"],
  ["pending", "Not applied yet"],
  ["differs", "Differs between components"],
  ["unknown", "Unknown somewhere"],
  ["shadows-image", "Shadows the image"],
  ["protected", "Protected"],
];
const AT_ONCE = 150;

/** What the person last looked at, kept while the page lives. @type {{scope: Scope, words: string, only: string}} */
const view = { scope: "added", words: "", only: "" };

/** @param {Package} row */
export function differs(row) {
  return new Set(row.installed.filter((one) => one.source !== "unknown").map((one) => one.version)).size > 1;
}

/**
 * @param {HTMLElement} main
 * @param {string[]} _parameters
 * @param {AbortSignal} signal
 */
export function showPackages(main, _parameters, signal) {
  lookAgain();
  void load(main, "packages", signal, () => get("packages", signal), (/** @type {Packages} */ answer) => render(answer, signal));
}

/**
 * @param {Packages} answer
 * @param {AbortSignal} signal
 */
function render(answer, signal) {
  const body = h("div", null);
  const count = h("p", { class: "count", "aria-live": "polite" });
  const indexNotice = h("div", null);
  const wordsId = uniqueId("words");
  const onlyId = uniqueId("only");
  let limit = AT_ONCE;
  const failed = (/** @type {string} */ why) => fill(indexNotice, notice("warn", "offline", "The index does not answer, so newer versions are not shown", h("p", null, why)));

  const draw = () => {
    const words = view.words.toLowerCase().replace(/[-_.]+/g, "-").split(/\s+/).filter(Boolean);
    const inScope = answer.packages.filter(SCOPES[view.scope][2]);
    const rows = inScope.sort((one, other) => Number(other.requested !== null) - Number(one.requested !== null)).filter((row) =>
      words.every((word) => row.name.includes(word) || row.summary.toLowerCase().includes(word)) &&
      (!view.only || (view.only === "differs" ? differs(row) : row.badges.includes(view.only))));
    fill(count, rows.length === inScope.length ? plural(rows.length, "package") : `${rows.length} of ${plural(inScope.length, "package")}`);
    if (inScope.length === 0 && (view.scope === "requested" || view.scope === "added")) {
      fill(body, nothingYet(answer));
    } else if (rows.length === 0) {
      fill(body, empty("search", "No package matches", "Try another word, state or scope.", button("Clear the filter", () => {
        view.words = "";
        view.only = "";
        wordsInput.value = "";
        onlySelect.value = "";
        draw();
        wordsInput.focus();
      })));
    } else {
      fill(body, table(rows.slice(0, limit), answer, signal, failed),
        rows.length > limit && h("div", { class: "more" }, button(`Show all ${rows.length} packages`, () => { limit = Infinity; draw(); })));
    }
  };

  const wordsInput = h("input", { id: wordsId, type: "search", class: "form-control", placeholder: "Filter packages", value: view.words, autocomplete: "off",
    oninput: () => { view.words = wordsInput.value; limit = AT_ONCE; draw(); } });
  const onlySelect = h("select", { id: onlyId, class: "form-select", onchange: () => { view.only = onlySelect.value; draw(); } },
    ONLY.map(([value, label]) => h("option", { value, selected: value === view.only }, label)));
  const scopes = h("div", { class: "segments", role: "group", "aria-label": "Which packages" },
    Object.entries(SCOPES).map(([key, [label, why]]) => h("button", {
      type: "button", "aria-pressed": String(key === view.scope), title: why,
      onclick: (/** @type {Event} */ event) => {
        view.scope = /** @type {Scope} */ (key);
        limit = AT_ONCE;
        for (const one of scopes.children) one.setAttribute("aria-pressed", String(one === event.currentTarget));
        draw();
      },
    }, label)));

  bus.addEventListener("changes", draw, { signal });
  draw();
  return [
    answer.edited_by_hand && editedNotice(),
    card("Installed Packages", {
      note: `${plural(answer.packages.filter((row) => row.requested !== null).length, "request")} in requirements.txt`,
      actions: may("plan")
        ? button("Add New Package", () => packageDialog(null, answer.packages), { kind: "primary", shape: "add" })
        : h("p", { class: "muted small" }, "You may look, but not plan changes."),
      flush: true,
    },
    h("div", { class: "toolbar" }, scopes,
      h("div", { class: "filters" },
        h("label", { for: wordsId, class: "visually-hidden" }, "Filter packages by name or summary"), wordsInput,
        h("label", { for: onlyId, class: "visually-hidden" }, "State"), onlySelect, count)),
    indexNotice, body),
    answer.kept_lines.length > 0 && notice("quiet", "file", `${plural(answer.kept_lines.length, "line")} of requirements.txt ${answer.kept_lines.length === 1 ? "is" : "are"} kept, but not used`,
      h("p", null, "Options, addresses and included files are shown as what they are. ", h("a", { href: "#/requirements" }, "See them in the file"))),
  ];
}

/** @param {Packages} answer */
function nothingYet(answer) {
  return empty("box", "No package was added yet",
    "Airflow runs with what its image brings. Add what your DAGs need: you see the whole plan before anything restarts.",
    may("plan") && button("Add New Package", () => packageDialog(null, answer.packages), { kind: "primary", shape: "add" }),
    button("Show what the image has", () => document.querySelectorAll(".segments button").item(2).dispatchEvent(new Event("click"))));
}

export function editedNotice() {
  const adopt = button("Review and adopt", () => void planFrom(adopt, async () => {
    /** @type {import("../wire.d.ts").Requirements} */
    const file = await get("requirements");
    return { requirements: file.text };
  }), { kind: "primary", small: true });
  return notice("warn", "edit", "requirements.txt was edited outside this page",
    h("p", null, "The file is no longer the one that the components’ packages were chosen for. Every plan from here includes that edit."),
    h("div", { class: "notice-actions" }, may("plan") && adopt, h("a", { class: "btn btn-sm act-secondary", href: "#/requirements" }, "See the file")));
}

/**
 * @param {Package[]} rows
 * @param {Packages} answer
 * @param {AbortSignal} signal
 * @param {(why: string) => void} failed
 */
function table(rows, answer, signal, failed) {
  return h("table", { class: "rows packages" },
    h("caption", { class: "visually-hidden" }, "Installed packages"),
    h("thead", null, h("tr", null, ["Package", "Requested", "Locked", "Installed", "Actions"].map((title) =>
      h("th", { scope: "col" }, title === "Actions" ? h("span", { class: "visually-hidden" }, title) : title)))),
    h("tbody", null, rows.map((row) => packageRow(row, answer.packages, signal, failed))));
}
