/** Processes and pods of a component, row by row. */
import { h, name, visible } from "../dom.js";
import { relative } from "../format.js";
import { pill, tonePill } from "../parts.js";

/**
 * @typedef {import("../wire.d.ts").Component} Component
 * @typedef {import("../wire.d.ts").Instance} Instance
 * @typedef {import("../wire.d.ts").ComponentProgress} ComponentProgress
 */

/** @param {Instance} one @returns {import("../dom.js").Child} */
export function instanceState(one) {
  const install = one.install_outcome && one.install_outcome !== "installed" && one.install_cause
    ? h("p", { class: "cause-message small", dir: "auto" }, visible(one.install_cause), one.install_code && h("span", { class: "code-name" }, ` ${one.install_code}`))
    : null;
  return [
    one.alive ? pill(one.status) : tonePill("unknown", "Silent"),
    one.restarts > 0 && h("span", { class: "muted small" }, ` ${one.restarts} restarts`),
    h("p", { class: "row-summary", dir: "auto" }, one.alive ? visible(one.message) : `No sign of life${one.reported_at ? ` since ${relative(one.reported_at)}` : ""}. ${visible(one.message)}`),
    install,
  ];
}

/**
 * @param {ComponentProgress} progress
 * @param {Component | null} seen
 */
export function instanceRows(progress, seen) {
  const instances = seen?.instances ?? [];
  const head = h("th", { scope: "row", rowspan: String(Math.max(1, instances.length)) }, name(progress.name));
  const words = { waiting: "waiting", restarting: "restarting", done: "done" }[progress.stage];
  const stage = h("td", { "data-label": "Stage", rowspan: String(Math.max(1, instances.length)) },
    tonePill(progress.stage === "done" ? "good" : progress.stage === "restarting" ? "busy" : "quiet", words),
    progress.verified && h("p", { class: "row-summary" }, progress.verified));
  const [first, ...others] = instances;
  const cells = (/** @type {Instance} */ one) => [
    h("td", { "data-label": "Instance" }, h("span", { class: "number" }, name(one.name)), one.stamp !== null && h("p", { class: "row-summary" }, `revision ${one.stamp}`)),
    h("td", { "data-label": "State" }, instanceState(one)),
  ];
  if (!first) return h("tr", null, head, stage, h("td", { colspan: "2", class: "muted" }, seen?.message ?? "No instance is known."));
  return [h("tr", null, head, stage, cells(first)), ...others.map((one) => h("tr", { class: "row-again" }, cells(one)))];
}
