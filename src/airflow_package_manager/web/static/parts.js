/** The small pieces that every view is made of: pills, cards, buttons, empty and waiting states. */
import { fill, h, uniqueId } from "./dom.js";
import { icon } from "./icons.js";

/**
 * @typedef {import("./dom.js").Child} Child
 * @typedef {import("./icons.js").Shape} Shape
 * @typedef {"good" | "busy" | "warn" | "bad" | "quiet" | "unknown" | "brand"} Tone
 */

/** Colour and words of every status that the server speaks of. @type {Record<string, [Tone, string]>} */
const STATUS = {
  PLANNING: ["busy", "Planning"],
  PLANNED: ["brand", "Planned"],
  REFUSED: ["bad", "Refused"],
  ACCEPTED: ["busy", "Accepted"],
  PREFLIGHT: ["busy", "Preflight"],
  ROLLING_OUT: ["busy", "Restarting"],
  VERIFYING: ["busy", "Verifying"],
  ROLLING_BACK: ["warn", "Rolling back"],
  SUCCEEDED: ["good", "Succeeded"],
  ROLLED_BACK: ["warn", "Rolled back"],
  FAILED: ["bad", "Failed"],
  CANCELLED: ["quiet", "Cancelled"],
  Current: ["good", "Current"],
  InProgress: ["busy", "In progress"],
  Terminating: ["busy", "Stopping"],
  Failed: ["bad", "Failed"],
  NotFound: ["warn", "Not found"],
  Unknown: ["unknown", "Unknown"],
  ok: ["good", "OK"],
  warning: ["warn", "Warning"],
  failed: ["bad", "Failed"],
  unknown: ["unknown", "Unknown"],
  expired: ["quiet", "Expired"],
  abandoned: ["quiet", "Abandoned"],
};

/**
 * @param {string} status
 * @param {Child} [words]
 */
export function pill(status, words) {
  const [tone, text] = STATUS[status] ?? ["unknown", status];
  return tonePill(tone, words ?? text);
}

/** @param {string} status @returns {string} the word of a status inside of a sentence */
export function statusWord(status) {
  return (STATUS[status]?.[1] ?? status).toLowerCase();
}

/**
 * @param {Tone} tone
 * @param {...Child} words
 */
export function tonePill(tone, ...words) {
  return h("span", { class: `pill tone-${tone}` }, h("span", { class: "dot", "aria-hidden": "true" }), words);
}

/**
 * @param {Tone} tone
 * @param {string} words
 * @param {string} [explanation]
 */
export function badge(tone, words, explanation = "") {
  return h("span", { class: `mark tone-${tone}`, title: explanation || null }, words);
}

/**
 * @param {Child} label
 * @param {(event: Event) => void} onclick
 * @param {{kind?: "primary" | "secondary" | "danger" | "quiet", shape?: Shape, small?: boolean, name?: string, [attribute: string]: unknown}} [options]
 */
export function button(label, onclick, options = {}) {
  const { kind = "secondary", shape, small, name, ...attributes } = options;
  return h(
    "button",
    { type: "button", class: `btn act-${kind}${small ? " btn-sm" : ""}`, onclick, "aria-label": name, ...attributes },
    shape && icon(shape),
    shape ? h("span", null, label) : label,
  );
}

/**
 * @param {Tone} tone
 * @param {Shape} shape
 * @param {Child} title
 * @param {...Child} body
 */
export function notice(tone, shape, title, ...body) {
  return h(
    "div",
    { class: `notice tone-${tone}`, role: tone === "bad" ? "alert" : null },
    icon(shape),
    h("div", { class: "notice-text" }, title && h("p", { class: "notice-title" }, title), body),
  );
}

/**
 * @param {Child} title
 * @param {{actions?: Child, note?: Child, level?: "h2" | "h3", flush?: boolean}} options
 * @param {...Child} body
 */
export function card(title, options, ...body) {
  const id = uniqueId("card");
  return h(
    "section",
    { class: "panel", "aria-labelledby": id },
    h(
      "div",
      { class: "panel-head" },
      h("div", { class: "panel-title" }, h(options.level ?? "h2", { id }, title), options.note && h("p", null, options.note)),
      options.actions && h("div", { class: "panel-actions" }, options.actions),
    ),
    h("div", { class: options.flush ? "panel-flush" : "panel-body" }, body),
  );
}

/**
 * @param {Shape} shape
 * @param {Child} title
 * @param {Child} text
 * @param {...Child} actions
 */
export function empty(shape, title, text, ...actions) {
  return h(
    "div",
    { class: "empty" },
    h("div", { class: "empty-icon" }, icon(shape)),
    h("p", { class: "empty-title" }, title),
    h("p", { class: "empty-text" }, text),
    actions.length > 0 && h("div", { class: "empty-actions" }, actions),
  );
}

/** @param {string} what what is being loaded, for those who do not see the grey lines */
export function skeleton(what) {
  return h(
    "div",
    { class: "skeleton", role: "status" },
    h("span", { class: "visually-hidden" }, `Loading ${what}…`),
    [0, 1, 2, 3, 4].map(() => h("div", { class: "skeleton-line", "aria-hidden": "true" })),
  );
}

/**
 * @param {Child} summary
 * @param {{open?: boolean, class?: string}} options
 * @param {...Child} body
 */
export function folded(summary, options, ...body) {
  return h(
    "details",
    { class: `fold ${options.class ?? ""}`, open: options.open ?? false },
    h("summary", null, icon("right", "fold-icon"), h("span", null, summary)),
    h("div", { class: "fold-body" }, body),
  );
}

/**
 * Labelled facts in a row or column.
 * @param {[string, Child][]} rows
 */
export function facts(rows) {
  return h("dl", { class: "facts" }, rows.map(([term, value]) => h("div", null, h("dt", null, term), h("dd", null, value))));
}

/** @param {string} text */
export function say(text) {
  const region = document.getElementById("announcements");
  if (region) fill(region, text);
}
