/** One revision: its file and lock, compared with any other. */
import { get } from "../api.js";
import { difference, file } from "../diff.js";
import { fill, h, name, visible } from "../dom.js";
import { dateTime } from "../format.js";
import { icon } from "../icons.js";
import { badge, card, folded, skeleton } from "../parts.js";
import { load, problemNotice } from "../problem.js";
import { restoreButton } from "./history.js";

/**
 * @typedef {import("../wire.d.ts").Revisions} Revisions
 * @typedef {import("../wire.d.ts").RevisionDetail} RevisionDetail
 */

/**
 * @param {HTMLElement} main
 * @param {string[]} parameters
 * @param {AbortSignal} signal
 */
export function showRevision(main, [number = ""], signal) {
  const path = `revisions/${encodeURIComponent(number)}`;
  void load(main, "the revision", signal, async () => {
    const [all, one] = await Promise.all([
      /** @type {Promise<Revisions>} */ (get("revisions", signal)),
      /** @type {Promise<RevisionDetail>} */ (get(path, signal)),
    ]);
    return { all: all.revisions, one };
  }, ({ all, one }) => {
    const others = all.filter((other) => other.revision !== one.revision.revision);
    const before = others.filter((other) => other.revision < one.revision.revision).sort((a, b) => b.revision - a.revision)[0] ?? others[0];
    const place = h("div", { "aria-live": "polite" });
    const compare = async (/** @type {string} */ other) => {
      fill(place, skeleton("the difference"));
      try {
        const answer = /** @type {RevisionDetail} */ (await get(`${path}?diff=${encodeURIComponent(other)}`, signal));
        fill(place, difference(answer.difference ?? "", "Both files are equal."));
      } catch (error) {
        if (!signal.aborted) fill(place, problemNotice(error));
      }
    };
    const select = h("select", { class: "form-select form-select-sm", id: "compare", onchange: () => void compare(select.value) },
      others.map((other) => h("option", { value: String(other.revision), selected: other === before }, `Revision ${other.revision}${other.current ? " (current)" : ""}: ${visible(other.summary).slice(0, 60)}`)));
    if (before) void compare(String(before.revision));
    return h("div", { class: "stack" },
      h("div", { class: "hero" },
        h("p", { class: "eyebrow" }, icon("clock"), h("a", { href: "#/history" }, "History"), ` / Revision ${one.revision.revision} `, one.revision.current && badge("good", "current")),
        h("h2", { dir: "auto" }, visible(one.revision.summary) || `Revision ${one.revision.revision}`),
        h("p", { class: "muted" }, name(one.revision.owner.name), ` · ${dateTime(one.revision.at)} · `, h("a", { href: `#/operations/${encodeURIComponent(one.revision.operation)}` }, "how it was applied")),
        h("div", { class: "hero-actions" }, restoreButton(one.revision))),
      card("What changed", { actions: others.length > 0 && h("div", { class: "compare" }, h("label", { for: "compare" }, "Compared with"), select) },
        others.length ? place : h("p", { class: "muted" }, "There is no other revision to compare with.")),
      card("requirements.txt", {}, file(one.text, "requirements.txt"), folded("The lock: exact versions and hashes", {}, file(one.lock, "lock"))));
  });
}
