/** A refused plan: who forbids it, what would fit, what to do; the resolver's own words folded below. */
import { fill, h, name, paragraphs, visible } from "../dom.js";
import { dateTime, projectName } from "../format.js";
import { icon } from "../icons.js";
import { badge, button, card, folded, notice } from "../parts.js";
import { again, planFrom } from "../planning.js";
import { problemDetails } from "../problem_details.js";
import { may, setChanges } from "../state.js";

/**
 * @typedef {import("../wire.d.ts").Operation} Operation
 * @typedef {{project?: string, wanted?: string, forbidden_by?: string, needs?: string, fits?: string[], message?: string}} Cause
 */

/**
 * @template T
 * @param {unknown} value
 * @returns {T[]}
 */
function rows(value) {
  return Array.isArray(value) ? value.filter((one) => one !== null && one !== undefined) : [];
}

/**
 * @param {Operation} operation
 * @returns {import("./operation.js").Part}
 */
export function refusalView(operation) {
  const problem = operation.problem;
  const planAgain = button("Plan again", () => void planFrom(planAgain, () => again(operation.request)), { shape: "again" });
  const asked = Array.isArray(operation.request["changes"]);
  const edit = h("a", { class: "btn act-secondary", href: asked ? "#/packages" : "#/requirements",
    onclick: () => { if (asked) setChanges(again(operation.request).changes ?? []); } }, asked ? "Edit changes" : "Edit the file");
  const acknowledging = problem?.code === "acknowledgement-required";
  const element = h("div", { class: "stack" },
    h("div", { class: "hero" },
      h("p", { class: acknowledging ? "eyebrow tone-warn" : "eyebrow tone-bad" }, icon("warning"), acknowledging ? "Needs your agreement" : "Refused"),
      h("h2", { dir: "auto" }, visible(operation.summary)),
      h("p", { class: "muted" }, `Nothing was changed, and nothing restarted. ${visible(operation.owner.name)}, ${dateTime(operation.created_at)}`)),
    problem && (acknowledging ? acknowledge(operation, rows(problem["acknowledgements"])) : h("div", { class: "stack" },
      notice("bad", "warning", problem.title,
        h("p", { dir: "auto" }, paragraphs(problem.detail)),
        h("p", { class: "next" }, h("strong", null, "What to do: "), paragraphs(problem.next_action)),
        problemDetails(problem, problem.next_action),
        h("p", { class: "code-name" }, problem.code),
        h("div", { class: "notice-actions" }, may("plan") && [edit, planAgain])),
      causes(operation, rows(problem["causes"])),
      alternatives(operation, rows(problem["suggestions"]), rows(problem["available"] ?? problem["usable"])),
      typeof problem["resolver"] === "string" && problem["resolver"] !== "" &&
        folded("The resolver’s own words", {}, h("pre", { class: "raw", tabindex: "0" }, visible(problem["resolver"]))))),
  );
  return { element, update: () => undefined };
}

/**
 * The same question with another requirement for one project; null when that cannot be said by changes.
 * @param {Operation} operation
 * @param {string} project
 * @param {(written: string) => string} rewrite
 */
function instead(operation, project, rewrite) {
  const question = again(operation.request);
  const change = question.changes?.find((one) => projectName(one.requirement) === project);
  if (!change || !question.changes) return null;
  const changes = question.changes.map((one) => (one === change ? { ...one, requirement: rewrite(one.requirement) } : one));
  return { ...question, changes };
}

/** @param {string} written @param {string} version */
function pinned(written, version) {
  const parts = /^\s*([A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?)[^;]*(;.*)?$/.exec(written);
  return `${(parts?.[1] ?? written).trim()}==${version}${parts?.[2] ? ` ${parts[2].trim()}` : ""}`;
}

/**
 * @param {Operation} operation
 * @param {string} project
 * @param {string} version
 * @param {boolean} first
 */
function fix(operation, project, version, first) {
  const question = instead(operation, project, (written) => pinned(written, version));
  if (!question || !may("plan")) return badge("quiet", version);
  const act = button(["Use ", name(`${project} ${version}`)], () => void planFrom(act, () => {
    setChanges(question.changes);
    return question;
  }), { small: true, kind: first ? "primary" : "secondary" });
  return act;
}

/**
 * @param {Operation} operation
 * @param {Cause[]} list
 */
function causes(operation, list) {
  if (list.length === 0) return null;
  return card("Why it does not fit", {}, h("ul", { class: "causes" }, list.map((one) => {
    const fits = rows(one.fits).map(String).slice(0, 3);
    const project = one.project ?? "";
    return h("li", { class: "cause" },
      one.message && h("p", { class: "cause-message", dir: "auto" }, visible(one.message)),
      h("div", { class: "branches" },
        h("div", { class: "branch" }, h("span", { class: "branch-who" }, "You ask for"), h("strong", null, name(`${project}${one.wanted ?? ""}`))),
        h("span", { class: "branch-against", "aria-hidden": "true" }, "≠"),
        h("div", { class: "branch" }, h("span", { class: "branch-who" }, name(one.forbidden_by ?? "?"), " needs"), h("strong", null, name(one.needs ?? "?")))),
      fits.length
        ? h("div", { class: "fixes" }, h("span", { class: "muted" }, "Would fit:"), fits.map((version, index) => fix(operation, project, version, index === 0)))
        : h("p", { class: "muted" }, "No version of it is known to fit this image."));
  })));
}

/**
 * @param {Operation} operation
 * @param {string[]} suggestions
 * @param {string[]} available
 */
function alternatives(operation, suggestions, available) {
  const project = String(operation.problem?.["project"] ?? "");
  if (suggestions.length > 0) {
    return card("Did you mean", {}, h("div", { class: "fixes" }, suggestions.map((one) => {
      const question = instead(operation, projectName(project), () => String(one));
      if (!question || !may("plan")) return badge("quiet", String(one));
      const act = button(name(String(one)), () => void planFrom(act, () => { setChanges(question.changes); return question; }), { small: true });
      return act;
    })));
  }
  if (available.length > 0) {
    return card("Versions that exist", {}, h("div", { class: "fixes" }, available.slice(0, 8).map((one, index) => fix(operation, projectName(project), String(one), index === 0))));
  }
  return null;
}

/**
 * @param {Operation} operation
 * @param {string[]} needed
 */
function acknowledge(operation, needed) {
  const open = new Set(needed.map(String));
  const act = button("Plan again with these", () => void planFrom(act, () => again(operation.request, needed.map(String))), { kind: "primary", shape: "check", disabled: true });
  const left = h("p", { class: "muted", "aria-live": "polite" });
  const count = () => {
    act.disabled = open.size > 0;
    fill(left, open.size ? `${open.size} of ${needed.length} still to be read and ticked.` : "All read. The new plan shows everything before it is applied.");
  };
  count();
  const words = (/** @type {string} */ one) => {
    const [what, ...project] = one.split(":");
    if (what === "shadows") return ["Hide the image’s own ", h("strong", null, name(project.join(":"))), " behind the added version, in every component"];
    return [name(one)];
  };
  return card(operation.problem?.title ?? "This must be acknowledged", { actions: h("a", { class: "btn act-secondary", href: "#/packages", onclick: () => setChanges(again(operation.request).changes ?? []) }, "Edit changes") },
    h("p", { dir: "auto" }, visible(operation.problem?.detail ?? "")),
    h("p", { class: "next" }, h("strong", null, "What to do: "), visible(operation.problem?.next_action ?? "")),
    h("fieldset", { class: "ticks" }, h("legend", { class: "visually-hidden" }, "Acknowledgements"), needed.map((one) => h("label", { class: "tick" },
      h("input", { type: "checkbox", class: "form-check-input", onchange: (/** @type {Event} */ event) => {
        if (/** @type {HTMLInputElement} */ (event.target).checked) open.delete(String(one));
        else open.add(String(one));
        count();
      } }),
      h("span", null, words(String(one)), h("span", { class: "code-name" }, String(one)))))),
    left,
    h("div", { class: "fixes" }, may("plan") && act));
}
