/** "Add New Package" and "Update": a project, a version from the index or a requirement in one's own words. */
import { Problem } from "../api.js";
import { openDialog } from "../dialog.js";
import { fill, h, name, uniqueId } from "../dom.js";
import { projectName } from "../format.js";
import { button, notice, say } from "../parts.js";
import { problemNotice } from "../problem.js";
import { detail, newer, present } from "../releases.js";
import { collect, pendingFor } from "../state.js";
import { focusTray } from "../tray.js";
import { versionPicker } from "./version_picker.js";

/**
 * @typedef {import("../wire.d.ts").Package} Package
 * @typedef {import("../wire.d.ts").PackageDetail} PackageDetail
 */

/** @type {[string, string][]} */
const BOUNDS = [["==", "exactly this version"], [">=", "this version or newer"], ["~=", "compatible with this version"]];

/**
 * @param {Package | null} row the project to update; null to add one
 * @param {readonly Package[]} rows what is there already
 */
export function packageDialog(row, rows) {
  const updating = row?.requested !== null && row !== null;
  const id = uniqueId("requirement");
  let version = "";
  let bound = "==";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let asked = "";

  const input = h("input", {
    id, class: "form-control requirement", autocomplete: "off", autocapitalize: "none", spellcheck: "false",
    placeholder: "pandas, or pandas[excel]>=2.1,<3", maxlength: "1000", autofocus: !row, dir: "ltr",
    value: updating ? row.requested ?? "" : row?.name ?? "", "aria-describedby": `${id}-help`,
    oninput: () => { clearTimeout(timer); draw(); timer = setTimeout(look, 350); },
  });
  const index = h("div", { class: "index-answer", "aria-live": "polite" });
  const preview = h("div", { class: "preview", "aria-live": "polite" });
  const act = button("Add to change set", () => finish(), { kind: "primary", type: "submit" });

  const project = () => projectName(input.value);
  const found = () => rows.find((one) => one.name === project()) ?? null;
  const free = () => input.value.trim().replace(/^[A-Za-z0-9._-]+/, "") !== "";
  const requirement = () => (version && !free() ? `${input.value.trim()}${bound}${version}` : input.value.trim());

  /** Name, extras and marker of what is written, with another version. @param {string} text */
  const withVersion = (text) => {
    const parts = /^\s*([A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?)[^;]*(;.*)?$/.exec(text);
    const marker = parts?.[2] ? ` ${parts[2].trim()}` : "";
    return `${(parts?.[1] ?? text).trim()}${version ? bound + version : ""}${marker}`;
  };
  const choose = (/** @type {string} */ chosen) => {
    version = chosen;
    if (free() || updating) {
      input.value = withVersion(input.value);
      version = "";
    }
    draw();
  };

  const draw = () => {
    const there = found();
    const isProtected = there?.badges.includes("protected") ?? false;
    const update = (there?.requested ?? null) !== null;
    const same = update && requirement() === there?.requested;
    act.disabled = project() === "" || isProtected || same;
    const waiting = pendingFor(project());
    fill(
      preview,
      isProtected && notice("warn", "lock", `${project()} is protected`,
        h("p", { class: "next" }, "It belongs to Airflow, or a setting protects it. It changes with a new image, not here.")),
      !isProtected && update && !updating && notice("brand", "info", null,
        h("p", null, "The file asks for ", h("code", null, name(there?.requested ?? "")), " already: this becomes an update.")),
      !isProtected && there && !update && there.image && notice("brand", "info", null,
        h("p", null, `The image has ${there.name} ${there.image}. Another version would shadow it, which the plan asks you to acknowledge.`)),
      !isProtected && there && !update && !there.image && there.locked && notice("brand", "info", null,
        h("p", null, `${there.name} ${there.locked} came along with another package. Adding it makes it a request of its own.`)),
      waiting && notice("quiet", "info", null, h("p", null, "Replaces the pending ", h("code", null, `${waiting.action} ${waiting.requirement}`), ".")),
      project() !== "" && h("p", { class: "result" }, update ? "Line in requirements.txt: " : "New line in requirements.txt: ",
        h("code", null, name(requirement())), same && h("span", { class: "muted" }, " (as it is now)")),
    );
  };

  const look = () => {
    const wanted = project();
    if (wanted === asked) return;
    asked = wanted;
    version = "";
    if (!wanted) {
      fill(index);
      return;
    }
    fill(index, h("p", { class: "muted looking" }, h("span", { class: "spinner", "aria-hidden": "true" }), ` Looking for ${wanted} on the index…`));
    detail(wanted).then((answer) => { if (asked === wanted) fill(index, releases(answer)); }, (error) => {
      if (asked !== wanted) return;
      if (error instanceof Problem && (error.status === 404 || error.code === "unknown-project")) fill(index, notOnIndex(wanted, error));
      else fill(index, problemNotice(error));
    });
  };

  const notOnIndex = (/** @type {string} */ wanted, /** @type {Problem} */ error) => {
    const alike = Array.isArray(error.context["suggestions"]) ? error.context["suggestions"].filter((one) => typeof one === "string") : [];
    return notice("warn", "search", `The index does not know “${wanted}”`,
      h("p", { class: "next" }, error.nextAction),
      alike.length > 0 && h("p", { class: "suggestions" }, "Did you mean ", alike.map((one) => button(one, () => {
        input.value = one;
        look();
        draw();
        input.focus();
      }, { small: true }))));
  };

  const releases = (/** @type {PackageDetail} */ answer) => {
    if (answer.index_problem) {
      return notice("warn", "offline", "The index gives no versions now", h("p", null, answer.index_problem),
        h("p", { class: "next" }, "You can still write a requirement; the plan asks the index again."));
    }
    const select = h("select", { class: "form-select form-select-sm bound", "aria-label": "How the version is meant",
      onchange: () => { bound = select.value; choose(version); } },
      BOUNDS.map(([value, words]) => h("option", { value }, `${value}  ${words}`)));
    return [
      answer.package.summary && h("p", { class: "summary" }, name(answer.package.summary)),
      h("div", { class: "picker-head" }, h("span", { class: "form-label" }, "Version"), select),
      versionPicker(answer.releases, present(answer.package), choose, updating || free() ? null : ""),
      answer.index && h("p", { class: "muted small" }, `From ${answer.index}`),
    ];
  };

  const finish = () => {
    if (act.disabled) return;
    const action = (found()?.requested ?? null) === null ? "add" : "update";
    collect({ action, requirement: requirement() });
    say(`${requirement()} is in the change set.`);
    close(focusTray);
  };

  const { close } = openDialog(row && updating ? ["Update ", name(row.name)] : "Add New Package", {
    wide: true,
    onsubmit: finish,
    body: [
      row && updating && currentVersion(row),
      h("div", { class: "field" }, h("label", { for: id, class: "form-label" }, updating ? "Requirement" : "Package"), input,
        h("p", { id: `${id}-help`, class: "form-text" }, updating
          ? "Edit it in your own words (PEP 508), or choose a version below."
          : "Its exact name; or a whole requirement in your own words (PEP 508).")),
      preview,
      index,
    ],
    actions: [button("Cancel", () => close(), { kind: "quiet" }), act],
  });
  draw();
  if (row) look();
}

/** @param {Package} row */
function currentVersion(row) {
  const now = present(row);
  const latest = h("span", null);
  detail(row.name).then((answer) => {
    const version = newer(answer);
    if (version) fill(latest, " · newest usable ", h("strong", null, name(version)));
  }, () => undefined); // the index's own answer is shown below
  return h("p", { class: "now" }, "Installed now: ", h("strong", null, now ?? "unknown"), latest);
}
