/** What was done: revisions that can be restored, and every attempt. */
import { get } from "../api.js";
import { fill, h, name, visible } from "../dom.js";
import { confirmDialog } from "../dialog.js";
import { dateTime, relative } from "../format.js";
import { badge, button, card, empty, pill } from "../parts.js";
import { planFrom } from "../planning.js";
import { load, problemNotice } from "../problem.js";
import { may } from "../state.js";

/**
 * @typedef {import("../wire.d.ts").Operation} Operation
 * @typedef {import("../wire.d.ts").Operations} Operations
 * @typedef {import("../wire.d.ts").Revision} Revision
 */

/**
 * @param {HTMLElement} main
 * @param {string[]} _parameters
 * @param {AbortSignal} signal
 */
export function showHistory(main, _parameters, signal) {
  const revisions = h("div", null);
  const operations = h("div", null);
  fill(main, h("div", { class: "stack" }, revisions, operations));
  void load(revisions, "revisions", signal, () => get("revisions", signal), (/** @type {import("../wire.d.ts").Revisions} */ answer) =>
    card("Revisions", { note: "Accepted states of requirements.txt. Restoring one is a new plan; nothing happens before you apply it.", flush: answer.revisions.length > 0 },
      answer.revisions.length
        ? h("ul", { class: "timeline" }, answer.revisions.map(revisionRow))
        : empty("clock", "No revision yet", "The first applied change makes one, and keeps the file as it was before as revision 0.")));
  void load(operations, "operations", signal, () => get("operations", signal), (/** @type {Operations} */ answer) => {
    const list = h("ul", { class: "timeline" });
    const more = h("div", { class: "more" });
    extend(list, more, answer, signal);
    return card("All attempts", { note: "Plans, refusals, successes and what was rolled back; newest first.", flush: answer.operations.length > 0 },
      answer.operations.length ? [list, more] : empty("list", "Nothing was planned yet", "Every plan shows up here, also the refused ones."));
  });
}

/** @param {Revision} one */
function revisionRow(one) {
  return h("li", { class: one.current ? "entry entry-current" : "entry" },
    h("div", { class: "entry-mark number" }, one.revision),
    h("div", { class: "entry-text" },
      h("p", { class: "entry-title" }, h("a", { href: `#/revisions/${one.revision}`, dir: "auto" }, visible(one.summary) || `Revision ${one.revision}`), one.current && badge("good", "current")),
      h("p", { class: "row-summary" }, name(one.owner.name), " · ", when(one.at))),
    h("div", { class: "entry-actions" }, restoreButton(one, true)));
}

/**
 * @param {Revision} one
 * @param {boolean} [small]
 */
export function restoreButton(one, small = false) {
  if (one.current || !may("plan")) return null;
  const act = button("Restore to this revision", () => confirmDialog(`Restore to revision ${one.revision}?`, [
    h("p", null, "A plan is made that brings requirements.txt back to the text of this revision, whatever came after it."),
    h("p", { class: "muted" }, "You see the whole plan before anything is applied."),
  ], { action: "Make the plan", run: () => planFrom(act, () => ({ restore: one.revision })) }), { small, name: `Restore to revision ${one.revision}` });
  return act;
}

/** @param {string} iso */
function when(iso) {
  return h("time", { datetime: iso, title: dateTime(iso) }, relative(iso));
}

/**
 * @param {Element} list
 * @param {Element} more
 * @param {Operations} answer
 * @param {AbortSignal} signal
 */
function extend(list, more, answer, signal) {
  for (const one of answer.operations) list.appendChild(operationRow(one));
  const cursor = answer.next;
  if (cursor === null) {
    fill(more);
    return;
  }
  const act = button("Show older", async () => {
    act.disabled = true;
    try {
      extend(list, more, await get(`operations?before=${encodeURIComponent(cursor)}`, signal), signal);
    } catch (error) {
      act.disabled = false;
      if (!signal.aborted) fill(more, problemNotice(error), act);
    }
  });
  fill(more, act);
}

/** @param {Operation} one */
function operationRow(one) {
  return h("li", { class: "entry" },
    h("div", { class: "entry-state" }, pill(one.label ?? one.state)),
    h("div", { class: "entry-text" },
      h("p", { class: "entry-title" }, h("a", { href: `#/operations/${encodeURIComponent(one.id)}`, dir: "auto" }, visible(one.summary) || "change")),
      h("p", { class: "row-summary" }, name(one.owner.name), " · ", when(one.created_at), one.revision !== null && ` · revision ${one.revision}`,
        one.problem && [" · ", visible(one.problem.title)])));
}
