/** One project of the table: three columns of truth, its badges, and what is behind it. */
import { fill, h, name, uniqueId } from "../dom.js";
import { icon } from "../icons.js";
import { badge, button, facts } from "../parts.js";
import { problemNotice } from "../problem.js";
import { detail, lookForNewer } from "../releases.js";
import { may, pendingFor } from "../state.js";
import { packageDialog } from "./package_dialog.js";
import { removeDialog } from "./remove_dialog.js";

/**
 * @typedef {import("../wire.d.ts").Package} Package
 * @typedef {import("../wire.d.ts").PackageDetail} PackageDetail
 * @typedef {import("../parts.js").Tone} Tone
 */

/** @type {Record<string, [Tone, string, string]>} */
const BADGES = {
  direct: ["brand", "direct", "Named in requirements.txt"],
  transitive: ["quiet", "transitive", "Came along: another package needs it"],
  image: ["quiet", "from the image", "Airflow’s image brings it"],
  "shadows-image": ["warn", "shadows the image", "The added version hides the image’s own"],
  protected: ["quiet", "protected", "Part of Airflow, or protected by a setting: changes with the image only"],
  pending: ["warn", "not applied yet", "The file asks for it, but no applied change has brought it"],
  unknown: ["unknown", "unknown", "At least one component does not say what it has"],
};

/**
 * @param {Package} row
 * @param {readonly Package[]} rows
 * @param {AbortSignal} signal
 * @param {(why: string) => void} failed
 * @returns {HTMLTableRowElement[]}
 */
export function packageRow(row, rows, signal, failed) {
  const id = uniqueId("more");
  const latest = h("span", null);
  const more = h("tr", { class: "row-more", id, hidden: true });
  const toggle = h("button", {
    type: "button", class: "row-toggle", "aria-expanded": "false", "aria-controls": id,
    onclick: () => {
      more.hidden = !more.hidden;
      toggle.setAttribute("aria-expanded", String(!more.hidden));
      if (!more.hidden && !more.hasChildNodes()) fill(more, h("td", { colspan: "5" }, behind(row)));
    },
  }, icon("right", "fold-icon"), h("span", { class: "row-name" }, name(row.name)));
  const pending = pendingFor(row.name);
  const shownBadges = row.badges.filter((one) => one !== "direct" || row.badges.length === 1);
  const line = h("tr", { class: pending ? "is-pending" : null },
    h("th", { scope: "row" },
      toggle,
      h("span", { class: "marks" },
        pending && badge("brand", `pending: ${pending.action}`),
        (shownBadges.length ? shownBadges : row.badges).map((one) => {
          const [tone, words, why] = BADGES[one] ?? ["unknown", one, ""];
          return badge(/** @type {Tone} */ (tone), words, why);
        }), latest),
      row.summary && h("p", { class: "row-summary" }, name(row.summary))),
    h("td", { "data-label": "Requested" }, row.requested === null ? none("not requested") : h("code", null, name(row.requested))),
    h("td", { "data-label": "Locked" }, row.locked === null ? none(row.image ? "image" : "not locked", row.image !== null) : h("span", { class: "number" }, name(row.locked))),
    h("td", { "data-label": "Installed" }, installed(row)),
    h("td", { class: "row-actions" }, actions(row, rows)));
  if (row.requested !== null) watch(line, row, rows, latest, signal, failed);
  return [line, more];
}

/**
 * @param {string} words
 * @param {boolean} [shown]
 */
function none(words, shown = false) {
  return shown ? h("span", { class: "muted" }, words) : h("span", { class: "muted" }, h("span", { "aria-hidden": "true" }, "—"), h("span", { class: "visually-hidden" }, words));
}

/** @param {Package} row */
function installed(row) {
  const versions = new Map(row.installed.map((one) => [`${one.source}:${one.version}`, one]));
  const [only] = versions.values();
  if (versions.size === 1 && only) {
    if (only.source === "unknown") return h("span", { class: "state-unknown" }, "unknown");
    if (only.source === "absent") return h("span", { class: "muted" }, "nowhere");
    return h("span", null, h("span", { class: "number" }, name(only.version ?? "")), h("span", { class: "muted small" }, row.installed.length === 1 ? " in the one component" : ` in all ${row.installed.length}`));
  }
  if (versions.size === 0) return h("span", { class: "state-unknown" }, "unknown");
  return h("ul", { class: "cells" }, row.installed.map((one) => h("li", null, h("span", { class: "muted" }, one.component), " ", cell(one))));
}

/** @param {import("../wire.d.ts").InstalledIn} one */
function cell(one) {
  if (one.source === "unknown") return h("span", { class: "state-unknown" }, "unknown");
  if (one.source === "absent") return h("span", { class: "state-absent" }, "absent");
  return h("span", { class: "number" }, name(one.version ?? ""));
}

/**
 * @param {Package} row
 * @param {readonly Package[]} rows
 */
function actions(row, rows) {
  if (row.badges.includes("protected")) return h("span", { class: "protected", title: "Changes with the image only" }, icon("lock"), "protected");
  if (!may("plan")) return null;
  if (row.requested === null) {
    return button("Add", () => packageDialog(row, rows), { small: true, kind: "quiet", shape: "add", name: `Request ${row.name}` });
  }
  return [
    button("Update", () => packageDialog(row, rows), { small: true, name: `Update ${row.name}` }),
    button("Remove", () => removeDialog(row, rows), { small: true, kind: "quiet", name: `Remove ${row.name}` }),
  ];
}

/**
 * Asks the index for a newer version once the row is on screen.
 * @param {Element} line
 * @param {Package} row
 * @param {readonly Package[]} rows
 * @param {Element} latest
 * @param {AbortSignal} signal
 * @param {(why: string) => void} failed
 */
function watch(line, row, rows, latest, signal, failed) {
  const seen = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    seen.disconnect();
    lookForNewer(row.name, (version) => {
      if (signal.aborted) return;
      fill(latest, may("plan")
        ? h("button", { type: "button", class: "mark tone-good mark-button", onclick: () => packageDialog(row, rows), "aria-label": `${row.name} ${version} is available: update` }, `${version} available`)
        : badge("good", `${version} available`));
    }, failed);
  });
  seen.observe(line);
  signal.addEventListener("abort", () => seen.disconnect());
}

/** @param {Package} row */
function behind(row) {
  const place = h("div", { class: "behind" });
  const names = (/** @type {string[]} */ list) => (list.length ? h("span", null, list.map((one, index) => [index > 0 && ", ", name(one)])) : h("span", { class: "muted" }, "nothing"));
  const draw = (/** @type {import("../dom.js").Child} */ requires) => fill(place, facts([
    ["In each component", row.installed.length
      ? h("ul", { class: "cells" }, row.installed.map((one) => h("li", null, h("span", { class: "muted" }, one.component), " ", cell(one), one.source === "image" && h("span", { class: "muted small" }, " image"))))
      : h("span", { class: "state-unknown" }, "unknown")],
    ["In the image", row.image ? name(row.image) : h("span", { class: "muted" }, "no")],
    ["Required by", names(row.required_by)],
    ["Requires", requires],
  ]));
  draw(h("span", { class: "muted" }, "…"));
  detail(row.name).then((/** @type {PackageDetail} */ answer) => draw(names(answer.requires)), (error) => {
    draw(h("span", { class: "muted" }, "not known"));
    place.appendChild(problemNotice(error));
  });
  return place;
}
