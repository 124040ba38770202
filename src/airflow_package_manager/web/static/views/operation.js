/** One operation from question to end: planning, the plan, its refusal, or its progress. Survives reloads and restarts. */
import { get, post, segment } from "../api.js";
import { fill, h } from "../dom.js";
import { refreshOverview } from "../header.js";
import { button, say, skeleton } from "../parts.js";
import { repeat } from "../poll.js";
import { problemNotice } from "../problem.js";
import { setActive, setLast, tokens } from "../state.js";
import { planView } from "./plan.js";
import { planningView } from "./planning_view.js";
import { progressView } from "./progress.js";
import { refusalView } from "./refusal.js";

/**
 * @typedef {import("../wire.d.ts").Operation} Operation
 * @typedef {import("../wire.d.ts").Event} Event
 * @typedef {import("../wire.d.ts").Events} Events
 * @typedef {import("../wire.d.ts").Component} Component
 * @typedef {{operation: Operation, events: Event[], components: Component[] | null}} Picture
 * @typedef {{element: HTMLElement, update: (picture: Picture) => void}} Part
 */

const ACTIVE = new Set(["ACCEPTED", "PREFLIGHT", "ROLLING_OUT", "VERIFYING", "ROLLING_BACK"]);
const MOST_EVENTS = 500;
/**
 * Milliseconds between two looks: soon after something happened, then rarer and rarer. A server of Airflow 2 may have
 * one worker for everybody, and most of a rollout is waiting.
 */
const SOON = 1000, RAREST = 5000, RARER = 1.5;

/** @param {Operation} operation */
function stage(operation) {
  if (operation.state === "PLANNING") return "planning";
  if (operation.state === "PLANNED") return "planned";
  if (operation.state === "REFUSED") return "refused";
  return operation.accepted_at === null ? "dropped" : "progress";
}

/**
 * @param {HTMLElement} main
 * @param {string[]} parameters
 * @param {AbortSignal} signal
 */
export function showOperation(main, [id = ""], signal) {
  void follow(main, id, signal);
}

/**
 * @param {HTMLElement} main
 * @param {string} id
 * @param {AbortSignal} signal
 */
async function follow(main, id, signal) {
  const path = `operations/${segment(id)}`;
  /** @type {Operation | null} */
  let operation = null;
  /** @type {Component[] | null} */
  let components = null;
  let fresh = false;
  /** @type {Event[]} */
  let events = [];
  let shown = "";
  /** @type {Part | null} */
  let part = null;
  let after = 0;
  let turn = 0;
  let pace = SOON;
  fill(main, skeleton("the operation"));

  const look = async () => {
    /** @type {Events} */
    const news = await get(`${path}/events?after=${after}`, signal);
    const changed = news.events.length > 0 || news.state !== operation?.state || news.step !== operation.step;
    events = [...events, ...news.events].slice(-MOST_EVENTS);
    after = Math.max(after, ...news.events.map((one) => one.sequence ?? 0));
    if (changed || turn % 5 === 0 || operation === null) operation = await get(path, signal);
    const now = /** @type {Operation} */ (operation);
    const active = ACTIVE.has(now.state);
    fresh &&= !changed; // once more at the end too: what was shown last is from before it
    if ((active && (!fresh || turn % 2 === 0)) || (!fresh && components !== null) || now.state === "FAILED") {
      components = /** @type {import("../wire.d.ts").Components} */ (await get("components", signal)).components;
      fresh = true;
    }
    turn += 1;
    pace = changed || now.state === "PLANNING" ? SOON : Math.min(pace * RARER, RAREST);
    if (signal.aborted) return false;
    draw(now);
    return (now.state === "PLANNING" && now.label === null) || active;
  };

  const draw = (/** @type {Operation} */ now) => {
    const wanted = stage(now);
    if (wanted !== shown) {
      const first = shown === "";
      shown = wanted;
      part = build(wanted, now, look, signal);
      fill(main, part.element);
      if (!first) {
        const heading = part.element.querySelector("h2");
        heading?.setAttribute("tabindex", "-1");
        heading?.focus({ preventScroll: true });
      }
    }
    part?.update({ operation: now, events, components });
    if (ACTIVE.has(now.state)) setActive(now.id);
    else if (now.state !== "PLANNING" && now.state !== "PLANNED") setLast(null);
  };

  try {
    await repeat(look, signal, () => pace);
    if (!signal.aborted && shown === "progress") {
      setActive(null);
      say("The operation has ended.");
      void refreshOverview();
    }
  } catch (error) {
    if (signal.aborted) return;
    setLast(null);
    fill(main, problemNotice(error,
      button("Try again", () => void follow(main, id, signal), { shape: "again" }),
      h("a", { class: "btn act-secondary", href: "#/history" }, "Go to History")));
  }
}

/**
 * @param {string} wanted
 * @param {Operation} operation
 * @param {() => Promise<boolean>} look
 * @param {AbortSignal} signal
 * @returns {Part}
 */
function build(wanted, operation, look, signal) {
  const cancel = async () => {
    await post(`operations/${segment(operation.id)}/cancel`, {});
    tokens.delete(operation.id);
    await look();
  };
  if (wanted === "planning") return planningView(operation, cancel, signal);
  if (wanted === "planned") {
    const applied = () => {
      window.dispatchEvent(new HashChangeEvent("hashchange"));
    };
    return planView(operation, cancel, applied, signal);
  }
  if (wanted === "refused") return refusalView(operation);
  return progressView(operation, cancel, signal);
}
