/** The checks of `doctor`: what was found, and what to do about it; what needs a person first. */
import { get } from "../api.js";
import { h, paragraphs } from "../dom.js";
import { plural } from "../format.js";
import { noteHealth } from "../header.js";
import { button, card, empty, pill } from "../parts.js";
import { load } from "../problem.js";

const ORDER = ["failed", "warning", "unknown", "ok"];

/**
 * @param {HTMLElement} main
 * @param {string[]} parameters
 * @param {AbortSignal} signal
 */
export function showHealth(main, parameters, signal) {
  void load(main, "health checks", signal, () => get("health", signal), (/** @type {import("../wire.d.ts").Health} */ answer) => {
    noteHealth(answer);
    const checks = [...answer.checks].sort((one, other) => ORDER.indexOf(one.status) - ORDER.indexOf(other.status));
    const open = checks.filter((one) => one.status !== "ok").length;
    return card("Health checks", {
      note: ["The same as ", h("code", null, "airflow-package-manager doctor"), ". ", checks.length > 0 && (open ? `${plural(open, "check")} of ${checks.length} ${open === 1 ? "needs" : "need"} a look.` : "All passed.")],
      actions: button("Check again", () => showHealth(main, parameters, signal), { shape: "again" }),
      flush: checks.length > 0,
    }, checks.length === 0
      ? empty("pulse", "No check was run", "The server offers no health checks.")
      : h("ul", { class: "checks" }, checks.map((one) => h("li", { class: `check check-${one.status}` },
        h("div", { class: "check-status" }, pill(one.status)),
        h("div", null, h("h3", null, one.name.replace(/-/g, " ")), h("p", { dir: "auto" }, paragraphs(one.cause)),
          one.next_action && one.status !== "ok" && h("p", { class: "next" }, h("strong", null, "What to do: "), paragraphs(one.next_action)))))));
  });
}
