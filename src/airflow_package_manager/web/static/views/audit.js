/** Who did what, from where, when, and how it ended; refusals too. */
import { get } from "../api.js";
import { fill, h, name, visible } from "../dom.js";
import { dateTime } from "../format.js";
import { button, card, empty, folded, pill } from "../parts.js";
import { load, problemNotice } from "../problem.js";

/**
 * @typedef {import("../wire.d.ts").Audit} Audit
 * @typedef {import("../wire.d.ts").Event} Event
 */

/**
 * @param {HTMLElement} main
 * @param {string[]} _parameters
 * @param {AbortSignal} signal
 */
export function showAudit(main, _parameters, signal) {
  void load(main, "the audit record", signal, () => get("events", signal), (/** @type {Audit} */ answer) => {
    if (answer.events.length === 0) {
      return card("Audit", {}, empty("list", "Nothing is recorded yet", "Every plan, apply, restart, refusal and rollback will stand here, with who and from where."));
    }
    const body = h("tbody", null);
    const more = h("div", { class: "more" });
    extend(body, more, answer, signal);
    return card("Audit", { note: "Append-only; newest first. Also in Airflow’s own audit log.", flush: true },
      h("table", { class: "rows audit" },
        h("caption", { class: "visually-hidden" }, "Audit record"),
        h("thead", null, h("tr", null, ["When", "Who", "What"].map((title) => h("th", { scope: "col" }, title)))), body),
      more);
  });
}

/**
 * @param {Element} body
 * @param {Element} more
 * @param {Audit} answer
 * @param {AbortSignal} signal
 */
function extend(body, more, answer, signal) {
  for (const event of answer.events) body.appendChild(row(event));
  const cursor = answer.next;
  if (cursor === null) {
    fill(more);
    return;
  }
  const act = button("Show older", async () => {
    act.disabled = true;
    try {
      extend(body, more, await get(`events?before=${encodeURIComponent(String(cursor))}`, signal), signal);
    } catch (error) {
      act.disabled = false;
      if (!signal.aborted) fill(more, problemNotice(error), act);
    }
  });
  fill(more, act);
}

/** @param {Event} event */
function row(event) {
  const details = Object.entries(event.details);
  return h("tr", null,
    h("td", { class: "audit-when" }, h("time", { class: "number", datetime: event.at }, dateTime(event.at))),
    h("td", { "data-label": "Who" }, event.principal ? name(event.principal.name) : h("span", { class: "muted" }, "by itself"),
      event.address && h("p", { class: "row-summary number" }, visible(event.address))),
    h("td", { "data-label": "What" },
      h("p", { class: "audit-message" }, event.state && [pill(event.state), " "], h("span", { dir: "auto" }, visible(event.message))),
      h("p", { class: "row-summary" }, h("span", { class: "code-name" }, event.kind), event.component && [" · ", name(event.component)],
        event.operation && [" · ", h("a", { href: `#/operations/${encodeURIComponent(event.operation)}` }, "operation")]),
      details.length > 0 && folded("Details", { class: "fold-small" }, h("dl", { class: "details" }, details.map(([key, value]) =>
        h("div", null, h("dt", null, visible(key)), h("dd", { dir: "auto" }, visible(typeof value === "string" ? value : JSON.stringify(value)))))))));
}
