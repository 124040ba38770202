/** The file as it is; edited whole, planned whole. */
import { get } from "../api.js";
import { file } from "../diff.js";
import { fill, h, name, uniqueId } from "../dom.js";
import { plural } from "../format.js";
import { badge, button, card, folded, notice } from "../parts.js";
import { planFrom } from "../planning.js";
import { load } from "../problem.js";
import { may, state } from "../state.js";
import { editedNotice } from "./packages.js";

/** @type {Record<string, [string, string]>} */
const KINDS = {
  option: ["option", "An option of pip: shown, never passed on."],
  file: ["included file", "Another file: shown, never read."],
  editable: ["editable", "A directory to install from: never run."],
  "direct-reference": ["address", "A URL, path or repository: not allowed in plans."],
  invalid: ["not readable", "No requirement that could be understood."],
};

/** An edit that was begun, kept while the page lives: digest of the file it began from, and the text. @type {{digest: string, text: string} | null} */
let draft = null;

/**
 * @param {HTMLElement} main
 * @param {string[]} _parameters
 * @param {AbortSignal} signal
 */
export function showRequirements(main, _parameters, signal) {
  void load(main, "requirements.txt", signal, () => get("requirements", signal), (/** @type {import("../wire.d.ts").Requirements} */ answer) => {
    const body = h("div", null);
    const actions = h("div", { class: "panel-actions" });
    const id = uniqueId("text");
    const read = () => {
      fill(actions, may("plan") && button("Edit the file", () => { draft = { digest: answer.digest, text: answer.text }; write(); }, { shape: "edit" }));
      fill(body, answer.text === "" ? h("p", { class: "muted" }, "The file is empty: Airflow runs with what its image brings.") : file(answer.text, "requirements.txt"));
    };
    // a text area knows only "\n": a file that ends its lines otherwise gets its own line ends back
    const unified = answer.text.replace(/\r\n?/g, "\n");
    const ending = answer.text.includes("\r\n") && !/(^|[^\r])\n/.test(answer.text) ? "\r\n" : "\n";
    const write = () => {
      const area = h("textarea", { id, class: "form-control editor", spellcheck: "false", autocapitalize: "none", dir: "ltr", rows: "18", value: draft?.text ?? "",
        oninput: () => { draft = { digest: answer.digest, text: area.value }; review.disabled = area.value === unified; } });
      const review = button("Review plan", () => void planFrom(review, () => ({ requirements: area.value.replace(/\n/g, ending) })), { kind: "primary", shape: "arrow", disabled: area.value === unified });
      fill(actions, button("Discard the edit", () => { draft = null; read(); }, { kind: "quiet" }), review);
      fill(body, h("label", { for: id, class: "form-label" }, "One requirement per line (PEP 508); comments and blank lines stay as they are."), area);
      area.focus({ preventScroll: true });
    };
    if (draft && draft.digest === answer.digest && may("plan")) write();
    else read();
    return h("div", { class: "stack" },
      answer.manager !== null && notice("warn", "warning", [name(answer.manager), " writes this file too"],
        h("p", null, "It may take a change back; the change then goes back as a whole. Change the file at its source, or tell that tool to leave it alone.")),
      answer.edited_by_hand && editedNotice(),
      card("requirements.txt", { note: "A plain pip requirements file. Planning the whole file replaces it as it stands below.", actions }, body),
      answer.kept_lines.length > 0 && card("Lines that are kept, but not used", { note: `${plural(answer.kept_lines.length, "line")}, with credentials masked` },
        h("ul", { class: "kept" }, answer.kept_lines.map((line) => {
          const [words, why] = KINDS[line.kind] ?? [line.kind, ""];
          return h("li", null, h("span", { class: "muted number" }, `Line ${line.number}`), badge(line.kind === "invalid" ? "bad" : "warn", words), h("code", null, name(line.text)), h("span", { class: "muted small" }, why));
        }))),
      folded("Without this page", { class: "fold-panel" }, h("p", null, "Edit the file where it lies", state.session && [" (", name(state.session.place), ")"], " and come back: “Review and adopt” makes a plan of it. Or use ", h("code", null, "airflow-package-manager plan"), ".")));
  });
}
