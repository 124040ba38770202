/** What stands beside a problem's sentence: each rule that forbids it, each line that cannot be used. */
import { h, name, visible } from "./dom.js";

/**
 * @typedef {{rule?: string, name?: string, message?: string, next_action?: string}} Violation
 * @typedef {{number?: number, text?: string, reason?: string, next_action?: string}} Line
 */

/**
 * @template T
 * @param {unknown} value
 * @returns {T[]} the rows that are objects
 */
export function objects(value) {
  return Array.isArray(value) ? value.filter((one) => one !== null && typeof one === "object") : [];
}

/** @param {string | undefined} action */
function next(action) {
  return action ? h("p", { class: "next" }, h("strong", null, "What to do: "), visible(action)) : null;
}

/**
 * @param {{[member: string]: unknown}} context
 * @param {string} own the next action that is shown already
 * @returns {HTMLElement | null}
 */
export function problemDetails(context, own) {
  /** @type {Violation[]} */
  const violations = objects(context["violations"]);
  /** @type {Line[]} */
  const lines = objects(context["lines"]);
  const said = [...violations.map((one) => one.message), ...lines.map((one) => one.reason)];
  if (said.length === 0 || (said.length === 1 && context["detail"] === said[0] && lines.length === 0)) return null;
  return h("ul", { class: "causes details-list" },
    lines.map((one) => h("li", { class: "cause" },
      h("p", { class: "cause-message" }, `Line ${one.number ?? "?"}: `, h("code", null, name(one.text ?? ""))),
      one.reason && h("p", { dir: "auto" }, visible(one.reason)),
      one.next_action !== own && next(one.next_action))),
    violations.map((one) => h("li", { class: "cause" },
      h("p", { class: "cause-message" }, one.name && h("strong", null, name(one.name), ": "), h("span", { dir: "auto" }, visible(one.message ?? ""))),
      one.next_action !== own && next(one.next_action),
      one.rule && h("p", { class: "code-name" }, one.rule))));
}
