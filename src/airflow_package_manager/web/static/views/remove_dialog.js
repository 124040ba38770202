/** "Remove": says what goes with it before anything is planned. */
import { openDialog } from "../dialog.js";
import { h, name } from "../dom.js";
import { button, notice, say } from "../parts.js";
import { changes, collect } from "../state.js";
import { focusTray } from "../tray.js";
import { projectName } from "../format.js";

/** @typedef {import("../wire.d.ts").Package} Package */

/**
 * What nobody needs any more once these projects are not asked for; the plan has the last word.
 * @param {readonly string[]} removed
 * @param {readonly Package[]} rows
 * @returns {string[]} normalised names
 */
export function orphans(removed, rows) {
  const gone = new Set(removed);
  for (let grown = true; grown; ) {
    grown = false;
    for (const row of rows) {
      if (gone.has(row.name) || row.requested !== null || row.locked === null || row.required_by.length === 0) continue;
      if (row.required_by.every((one) => gone.has(one))) {
        gone.add(row.name);
        grown = true;
      }
    }
  }
  return [...gone].filter((one) => !removed.includes(one)).sort();
}

/**
 * @param {Package} row
 * @param {readonly Package[]} rows
 */
export function removeDialog(row, rows) {
  const leaving = changes().filter((one) => one.action === "remove").map((one) => projectName(one.requirement));
  const needed = row.required_by.filter((one) => !leaving.includes(one));
  const along = needed.length ? [] : orphans([...leaving, row.name], rows);
  const act = button("Remove", () => {
    collect({ action: "remove", requirement: row.name });
    say(`Removing ${row.name} is in the change set.`);
    close(focusTray);
  }, { kind: "danger", shape: "remove" });
  const { close } = openDialog(["Remove ", name(row.name), "?"], {
    body: [
      h("p", null, "The line ", h("code", null, name(row.requested ?? row.name)), " leaves requirements.txt."),
      needed.length > 0 && notice("brand", "info", `${row.name} stays installed`,
        h("p", null, "Still needed by ", list(needed), ". Only the request for it goes.")),
      needed.length === 0 && row.image && notice("brand", "info", `${row.name} ${row.image} of the image shows again`,
        h("p", null, "What the image has cannot be removed here.")),
      along.length > 0 && [
        h("p", null, `${along.length === 1 ? "One package goes" : `${along.length} packages go`} with it, because nothing else needs ${along.length === 1 ? "it" : "them"}:`),
        h("ul", { class: "names" }, along.map((one) => h("li", null, name(one)))),
      ],
      needed.length === 0 && along.length === 0 && !row.image && h("p", null, "No other package goes with it."),
      h("p", { class: "muted" }, "A DAG that imports it would fail afterwards. The plan shows everything once more before anything is applied."),
    ],
    actions: [button("Keep", () => close(), { autofocus: true }), act],
  });
}

/** @param {string[]} names */
function list(names) {
  return names.map((one, index) => [index > 0 && ", ", h("strong", null, name(one))]);
}
