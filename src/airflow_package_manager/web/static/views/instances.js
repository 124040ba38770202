/** Processes and pods of a component, row by row: what needs a look first, and never more rows than one can read. */
import { h, name, paragraphs, visible } from "../dom.js";
import { dateTime, plural, relative } from "../format.js";
import { badge, pill, statusWord, tonePill } from "../parts.js";

/**
 * @typedef {import("../wire.d.ts").Component} Component
 * @typedef {import("../wire.d.ts").Instance} Instance
 * @typedef {import("../wire.d.ts").ComponentProgress} ComponentProgress
 */

const FIRST = ["Failed", "Unknown", "NotFound", "InProgress", "Terminating", "Current"];
const MOST_ROWS = 12;
const MOST_CURRENT = 3;

/**
 * @param {Instance[]} instances
 * @returns {{rows: Instance[], others: Instance[]}} what needs a look before what is well, in the server's order
 */
export function byUrgency(instances) {
  const sorted = [...instances].sort((one, other) => FIRST.indexOf(one.status) - FIRST.indexOf(other.status));
  const strange = sorted.filter((one) => one.status !== "Current").length;
  const most = sorted.length <= MOST_ROWS ? sorted.length : Math.min(MOST_ROWS, strange + MOST_CURRENT);
  return { rows: sorted.slice(0, most), others: sorted.slice(most) };
}

/** @param {Instance[]} others */
export function summary(others) {
  const counts = FIRST.map((status) => ({ status, count: others.filter((one) => one.status === status).length })).filter(({ count }) => count > 0);
  return [`${plural(others.length, "more instance")}: `, counts.map(({ status, count }) => [pill(status, `${count} ${statusWord(status)}`), " "])];
}

/**
 * How a component stands: its status, and the two words that a status alone would hide.
 * @param {Component} one
 */
export function standing(one) {
  return [
    one.unverified !== null && one.status === "Current" ? tonePill("unknown", "Not verified") : pill(one.status),
    one.infrastructure && badge("warn", "no package’s fault", "What keeps it from being current is the cluster: image, quota, admission, or room on the nodes."),
  ];
}

/** @param {Instance} one @returns {import("../dom.js").Child} */
export function instanceState(one) {
  const cause = one.install_outcome !== "installed" ? one.install_cause : null;
  return [
    h("span", { class: "instance-words" },
      one.alive ? pill(one.status) : tonePill("unknown", "Silent"),
      one.reason && h("span", { class: "code-name" }, name(one.reason)),
      one.restarts > 0 && h("span", { class: "muted small" }, plural(one.restarts, "restart"))),
    h("p", { class: "row-summary", dir: "auto" }, one.alive ? paragraphs(one.message) : `No sign of life${one.reported_at ? ` since ${relative(one.reported_at)}` : ""}. ${visible(one.message)}`),
    cause && !one.message.includes(cause) && h("p", { class: "cause-message small", dir: "auto" }, paragraphs(cause)),
    cause && one.install_code && h("p", { class: "code-name" }, visible(one.install_code)),
  ];
}

/**
 * What it runs on, where, and since when.
 * @param {Instance} one
 * @param {{lock: boolean}} options
 */
export function instanceFacts(one, { lock }) {
  const parts = [
    one.stamp === null ? "no revision" : `revision ${one.stamp}`,
    lock && (one.lock_digest ? h("span", { title: one.lock_digest }, `lock ${one.lock_digest.slice(0, 12)}`) : "no site"),
    one.node && ["on ", name(one.node)],
    one.started_at && ["started ", h("time", { datetime: one.started_at, title: dateTime(one.started_at) }, relative(one.started_at))],
  ].filter(Boolean);
  return h("p", { class: "row-summary" }, parts.map((part, index) => [index > 0 && " · ", part]));
}

/**
 * @param {ComponentProgress} progress
 * @param {Component | null} seen
 */
export function instanceRows(progress, seen) {
  const { rows, others } = byUrgency(seen?.instances ?? []);
  const height = String(Math.max(1, rows.length + (others.length > 0 ? 1 : 0)));
  const head = h("th", { scope: "row", rowspan: height }, name(progress.name));
  const words = { waiting: "waiting", restarting: "restarting", done: "done" }[progress.stage];
  const unverified = progress.unverified ?? (progress.stage === "restarting" ? seen?.unverified : null);
  const stage = h("td", { "data-label": "Stage", rowspan: height },
    tonePill(progress.stage === "done" ? (unverified ? "unknown" : "good") : progress.stage === "restarting" ? "busy" : "quiet", words),
    progress.verified && h("p", { class: "row-summary" }, progress.verified),
    unverified && h("p", { class: "row-summary", dir: "auto" }, visible(unverified)),
    progress.stage !== "waiting" && seen?.infrastructure && h("p", null, badge("warn", "no package’s fault")));
  const cells = (/** @type {Instance} */ one) => [
    h("td", { "data-label": "Instance" }, h("div", null, h("span", { class: "number" }, name(one.name)), instanceFacts(one, { lock: false }))),
    h("td", { "data-label": "State" }, h("div", null, instanceState(one))),
  ];
  const [first, ...following] = rows;
  if (!first) return h("tr", null, head, stage, h("td", { colspan: "2", class: "muted" }, seen?.message ? visible(seen.message) : "No instance is known."));
  return [
    h("tr", null, head, stage, cells(first)),
    ...following.map((one) => h("tr", { class: "row-again" }, cells(one))),
    others.length > 0 && h("tr", { class: "row-again" }, h("td", { colspan: "2", class: "muted" }, summary(others), h("a", { href: "#/components" }, "all of them"))),
  ];
}
