/** Every component of Airflow: what it runs, since when, and what it says. */
import { get } from "../api.js";
import { h, name, visible } from "../dom.js";
import { noteComponents } from "../header.js";
import { card, empty, facts, folded } from "../parts.js";
import { load } from "../problem.js";
import { state } from "../state.js";
import { byUrgency, instanceFacts, instanceState, standing, summary } from "./instances.js";

/**
 * @param {HTMLElement} main
 * @param {string[]} _parameters
 * @param {AbortSignal} signal
 */
export function showComponents(main, _parameters, signal) {
  void load(main, "components", signal, () => get("components", signal), (/** @type {import("../wire.d.ts").Components} */ answer) => {
    noteComponents(answer);
    const session = state.session;
    return [
      card("Components", { note: "Each installs the packages of its revision before it starts." , flush: answer.components.length > 0 },
        answer.components.length
          ? h("div", { class: "components" }, answer.components.map(component))
          : empty("server", "No component is known here", [h("a", { href: "#/health" }, "Health"), " says where they were looked for, and what to do."])),
      session && card("This Airflow", {}, facts([
        ["Airflow", session.airflow_version], ["Package Manager", session.plugin_version], ["Python", `${session.python}, ${session.platform}`],
        ["Target", session.target], ["Requirements", name(session.place)], ["You are", name(session.principal.name)],
      ])),
    ];
  });
}

/** @param {import("../wire.d.ts").Component} one */
function component(one) {
  const { rows, others } = byUrgency(one.instances);
  return h("article", { class: "component" },
    h("header", null, h("h3", null, name(one.name)), standing(one), h("span", { class: "muted" }, one.stamp === null ? "no revision told" : `told revision ${one.stamp}`)),
    one.message && h("p", { class: "row-summary", dir: "auto" }, visible(one.message)),
    one.unverified && one.unverified !== one.message && h("p", { class: "row-summary", dir: "auto" }, `Not verified: ${visible(one.unverified)}.`),
    rows.length > 0 && h("ul", { class: "instances" }, rows.map(instance)),
    others.length > 0 && folded(summary(others), {}, h("ul", { class: "instances" }, others.map(instance))));
}

/** @param {import("../wire.d.ts").Instance} one */
function instance(one) {
  return h("li", null,
    h("div", null, h("span", { class: "number" }, name(one.name)), instanceFacts(one, { lock: true })),
    h("div", { class: "instance-state" }, instanceState(one)));
}
