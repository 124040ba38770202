/** Where an operation stands: Planned → Preflight → each component → Verify → Done. Pure, but for the drawing. */
import { h, name } from "../dom.js";
import { icon } from "../icons.js";

/**
 * @typedef {import("../wire.d.ts").Operation} Operation
 * @typedef {import("../wire.d.ts").Event} Event
 * @typedef {"done" | "unsure" | "now" | "next" | "bad" | "back" | "skipped"} Mark
 * @typedef {{label: string, mark: Mark, note: string}} Step
 */

const FORWARD = ["ACCEPTED", "PREFLIGHT", "ROLLING_OUT", "VERIFYING"];
const BACK = new Set(["ROLLING_BACK", "ROLLED_BACK", "FAILED", "CANCELLED"]);

/**
 * @param {Operation} operation
 * @param {readonly Event[]} events
 * @returns {number} how far it came, as a place in FORWARD
 */
function reached(operation, events) {
  if (operation.state === "SUCCEEDED") return FORWARD.length;
  if (FORWARD.includes(operation.state)) return FORWARD.indexOf(operation.state);
  const stages = operation.components.map((one) => one.stage);
  const byComponents = stages.length && stages.every((one) => one === "done") ? 3 : stages.some((one) => one !== "waiting") ? 2 : 0;
  return Math.max(byComponents, 0, ...events.map((one) => FORWARD.indexOf(one.state ?? "")));
}

/**
 * @param {Operation} operation
 * @param {readonly Event[]} events
 * @returns {Step[]}
 */
export function steps(operation, events) {
  const far = reached(operation, events);
  const back = BACK.has(operation.state);
  const at = (/** @type {number} */ place) => /** @type {Mark} */ (far > place ? "done" : far < place ? (back ? "skipped" : "next") : back ? "bad" : "now");
  /** @type {Step[]} */
  const list = [{ label: "Planned", mark: "done", note: "" }];
  if (operation.plan && !operation.plan.lock_changes) {
    list.push({ label: "Save", mark: operation.state === "SUCCEEDED" ? "done" : back ? "bad" : "now", note: "nothing restarts" });
  } else {
    list.push({ label: "Preflight", mark: far <= 1 ? (back ? "bad" : "now") : "done", note: "" });
    for (const one of operation.components) {
      list.push({ label: one.name, ...(back ? goingBack(one, far, operation, events) : goingForward(one, far)) });
    }
    list.push({ label: "Verify", mark: at(3), note: "" });
  }
  const last = { SUCCEEDED: "Done", ROLLING_BACK: "Rolling back", ROLLED_BACK: "Rolled back", FAILED: "Failed", CANCELLED: "Cancelled" }[operation.state] ?? "Done";
  /** @type {Mark} */
  const mark = operation.state === "SUCCEEDED" ? "done" : operation.state === "ROLLING_BACK" ? "now" : operation.state === "ROLLED_BACK" ? "back" : operation.state === "FAILED" ? "bad" : operation.state === "CANCELLED" ? "back" : "next";
  list.push({ label: last, mark, note: "" });
  return list;
}

/**
 * @param {import("../wire.d.ts").ComponentProgress} one
 * @param {number} far
 * @returns {{mark: Mark, note: string}}
 */
function goingForward(one, far) {
  if (one.stage === "waiting" || far < 2) return { mark: "next", note: "" };
  if (one.stage === "done") return { mark: one.unverified === null ? "done" : "unsure", note: one.verified ?? "" };
  return { mark: "now", note: "" };
}

/**
 * "Put back" is said of what was put back only: the problem of an operation that failed names what was not.
 *
 * @param {import("../wire.d.ts").ComponentProgress} one
 * @param {number} far
 * @param {Operation} operation
 * @param {readonly Event[]} events
 * @returns {{mark: Mark, note: string}}
 */
function goingBack(one, far, operation, events) {
  if (one.stage === "waiting" || far < 2) return { mark: "skipped", note: "" };
  if (operation.state === "FAILED" && named(operation.problem).includes(one.name)) return { mark: "bad", note: "not put back" };
  if (one.stage !== "done") return { mark: "bad", note: "" };
  const told = events.some((event) => event.kind === "component.restored" && event.component === one.name);
  return operation.state === "ROLLING_BACK" && !told ? { mark: "next", note: "to be put back" } : { mark: "back", note: "" };
}

/**
 * @param {Operation["problem"]} problem
 * @returns {readonly unknown[]} the components that it names
 */
function named(problem) {
  return problem && Array.isArray(problem.components) ? problem.components : [];
}

/** @type {Record<Mark, string>} */
const WORDS = { done: "done", unsure: "not verified", now: "in progress", next: "to come", bad: "failed", back: "put back", skipped: "not reached" };

/** @param {Step[]} list */
export function stepper(list) {
  return h("ol", { class: "stepper" }, list.map((one) => h(
    "li",
    { class: `step step-${one.mark}`, "aria-current": one.mark === "now" ? "step" : null },
    h("span", { class: "step-dot" }, one.mark === "done" ? icon("check") : one.mark === "bad" ? icon("cross") : one.mark === "back" ? icon("back") : one.mark === "unsure" ? icon("info") : null),
    h("span", { class: "step-label" }, name(one.label), h("span", { class: "step-note" }, one.note || WORDS[one.mark])),
  )));
}
