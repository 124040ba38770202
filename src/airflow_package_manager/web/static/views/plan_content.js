/** What a plan would do, for people: packages, warnings, restarts, the file, the lock. */
import { difference, file } from "../diff.js";
import { h, name, visible } from "../dom.js";
import { expected, plural, sentence, size } from "../format.js";
import { icon } from "../icons.js";
import { badge, card, folded, notice } from "../parts.js";

/**
 * @typedef {import("../wire.d.ts").Plan} Plan
 * @typedef {import("../wire.d.ts").PackageChange} PackageChange
 * @typedef {import("../parts.js").Tone} Tone
 */

/** @type {[PackageChange["effect"], string, Tone, import("../icons.js").Shape, string][]} */
const EFFECTS = [
  ["new", "New", "good", "add", "Not there before."],
  ["upgraded", "Upgraded", "brand", "update", "A newer version than before."],
  ["downgraded", "Downgraded", "warn", "down", "An older version than before."],
  ["removed", "Removed", "bad", "remove", "Gone afterwards."],
  ["in-image", "Already in the image", "quiet", "layers", "Nothing is installed for these: the image fulfils them."],
];

/** @param {Plan} plan */
export function counts(plan) {
  const words = EFFECTS.map(([effect, label]) => {
    const count = plan.package_changes.filter((one) => one.effect === effect).length;
    return count ? `${count} ${label.toLowerCase()}` : "";
  }).filter(Boolean);
  return words.length ? words.join(" · ") : "No package changes";
}

/**
 * @param {Plan} plan
 * @returns {HTMLElement[]}
 */
export function planContent(plan) {
  return [packagesCard(plan), restartCard(plan), fileCard(plan)];
}

/** @param {Plan} plan */
export function warnings(plan) {
  if (plan.warnings.length === 0 && !plan.adopted) return null;
  return h("div", { class: "stack" },
    plan.adopted && notice("brand", "edit", "Adopts what was edited outside this page", h("p", null, "The file stays as it is; the components follow it.")),
    plan.warnings.length > 0 && notice("warn", "warning", plural(plan.warnings.length, "thing to know", "things to know"),
      h("ul", { class: "warnings" }, plan.warnings.map((one) => h("li", { dir: "auto" }, visible(one.message), " ", h("span", { class: "code-name" }, one.code))))));
}

/** @param {Plan} plan */
function packagesCard(plan) {
  const groups = EFFECTS.map(([effect, label, tone, shape, why]) => {
    const rows = plan.package_changes.filter((one) => one.effect === effect);
    if (rows.length === 0) return null;
    return h("section", { class: "effect" },
      h("h3", { class: `effect-title tone-${tone}` }, icon(shape), `${label} `, h("span", { class: "effect-count" }, rows.length), h("span", { class: "muted small" }, why)),
      h("ul", { class: "changes" }, rows.map(changeRow)));
  });
  const download = plan.package_changes.reduce((sum, one) => sum + (one.size ?? 0), 0);
  return card("Packages", { note: [counts(plan), download > 0 && ` · ${size(download)} to download`], flush: true },
    plan.package_changes.length ? groups : h("p", { class: "muted inset" }, "No package is added, changed or removed."));
}

/** @param {PackageChange} one */
function changeRow(one) {
  return h("li", { class: "change" },
    h("div", { class: "change-name" },
      name(one.name),
      h("span", { class: "marks" },
        badge(one.direct ? "brand" : "quiet", one.direct ? "direct" : "transitive"),
        one.shadows && badge("warn", "shadows the image", `The image has ${one.image_version ?? "another version"}`))),
    h("div", { class: "change-versions" },
      one.before !== null && h("span", { class: "number was" }, h("span", { class: "visually-hidden" }, "from "), name(one.before)),
      one.before !== null && one.after !== null && one.before !== one.after && icon("arrow"),
      one.after !== null && one.before !== one.after && h("span", { class: "number" }, h("span", { class: "visually-hidden" }, "to "), name(one.after))),
    h("div", { class: "change-why" },
      one.shadows && one.image_version && h("span", null, `Hides ${one.image_version} of the image. `),
      one.effect === "removed" && one.image_version && h("span", null, `${one.image_version} of the image shows again. `),
      one.required_by.length > 0 && h("span", null, "Needed by ", one.required_by.map((by, index) => [index > 0 && ", ", name(by)]), ". "),
      one.summary && h("span", { dir: "auto" }, visible(one.summary))),
    h("div", { class: "change-size muted number" }, size(one.size)));
}

/** @param {Plan} plan */
function restartCard(plan) {
  if (!plan.lock_changes) {
    return card("Restarts", {}, h("p", { class: "calm" }, icon("check"), "Nothing restarts: only the file changes."));
  }
  return card("Restarts", { note: expected(plan) && `Takes ${expected(plan)}` },
    h("ol", { class: "route", "aria-label": "Order of restarts" },
      h("li", { class: "route-first" }, icon("check"), h("span", null, "Preflight")),
      plan.components.map((one) => h("li", null, icon("server"), name(one))),
      h("li", { class: "route-last" }, icon("check"), h("span", null, "Verify"))),
    h("p", null, "First a throw-away check, apart from every component. Then ",
      plan.components.length ? sentence(plan.components) : "the components",
      plan.components.length > 1 ? " restart one after another, each only when the one before it is well." : " restarts.",
      !plan.components.some((one) => one === "api-server" || one === "webserver") && " The web server is not restarted."),
    plan.tasks.map((one) => h("p", null, one)),
    h("p", { class: "muted" }, "If one does not come back well, everything touched returns to the packages it has now, by itself", plan.longest_seconds !== null && "; going back may take as long again", "."));
}

/** @param {Plan} plan */
function fileCard(plan) {
  return card("Files", {},
    h("h3", { class: "sub" }, "requirements.txt"),
    difference(plan.difference),
    folded("The whole file afterwards", {}, file(plan.proposed_text, "requirements.txt")),
    folded(["The lock: exact versions and hashes", h("span", { class: "muted number" }, ` ${plan.lock_digest.slice(0, 12)}`)], {},
      h("p", { class: "muted" }, "What each component installs, file by file, and nothing else."), file(plan.lock, "lock")));
}
