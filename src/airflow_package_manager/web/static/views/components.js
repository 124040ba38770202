/** Every component of Airflow: what it runs, since when, and what it says. */
import { get } from "../api.js";
import { h, name, visible } from "../dom.js";
import { dateTime, relative } from "../format.js";
import { noteComponents } from "../header.js";
import { card, empty, facts, pill } from "../parts.js";
import { load } from "../problem.js";
import { state } from "../state.js";
import { instanceState } from "./instances.js";

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
          : empty("server", "No component is known here", [
            "Start Airflow’s components with ", h("code", null, "airflow-package-manager run --component NAME -- COMMAND"),
            ", or all of them with ", h("code", null, "airflow-package-manager standalone"), "."])),
      session && card("This Airflow", {}, facts([
        ["Airflow", session.airflow_version], ["Package Manager", session.plugin_version], ["Python", `${session.python}, ${session.platform}`],
        ["Target", session.target], ["Directory", h("code", null, name(session.directory))], ["You are", name(session.principal.name)],
      ])),
    ];
  });
}

/** @param {import("../wire.d.ts").Component} one */
function component(one) {
  return h("article", { class: "component" },
    h("header", null, h("h3", null, name(one.name)), pill(one.status), h("span", { class: "muted" }, one.stamp === null ? "no revision told" : `told revision ${one.stamp}`)),
    one.message && h("p", { class: "row-summary", dir: "auto" }, visible(one.message)),
    one.instances.length > 0 && h("ul", { class: "instances" }, one.instances.map((instance) => h("li", null,
      h("div", null, h("span", { class: "number" }, name(instance.name)),
        h("p", { class: "row-summary" }, [
          instance.stamp === null ? "no revision" : `revision ${instance.stamp}`,
          instance.lock_digest ? `lock ${instance.lock_digest.slice(0, 12)}` : "no site",
        ].join(" · "), instance.started_at && [" · started ", h("time", { datetime: instance.started_at, title: dateTime(instance.started_at) }, relative(instance.started_at))])),
      h("div", { class: "instance-state" }, instanceState(instance))))));
}
