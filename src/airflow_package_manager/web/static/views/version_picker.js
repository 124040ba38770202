/** Chooses one of the versions that the index has; what cannot or should not be used says so. */
import { fill, h, name, uniqueId } from "../dom.js";
import { date, isPrerelease, size } from "../format.js";
import { badge, button } from "../parts.js";

/**
 * @typedef {import("../wire.d.ts").Release} Release
 */

const FIRST = 40;

/**
 * @param {Release} release
 * @param {string | null} now
 */
function marks(release, now) {
  return [
    release.version === now && badge("brand", "installed"),
    release.yanked !== null && badge("bad", "yanked", release.yanked || "withdrawn by its authors"),
    isPrerelease(release.version) && badge("warn", "pre-release"),
    release.has_wheel === false && badge("warn", "no wheel", "There is no wheel for this Python and platform; it cannot be installed here."),
    release.has_wheel === false && release.requires_python && badge("quiet", `Python ${release.requires_python}`),
  ];
}

/**
 * @param {Release[]} releases newest first
 * @param {string | null} now the version that is present
 * @param {(version: string) => void} choose called with the version, or an empty text for "whatever fits"
 * @param {string | null} chosen the version marked at first; null for none
 * @returns {HTMLElement}
 */
export function versionPicker(releases, now, choose, chosen) {
  const group = uniqueId("version");
  const list = h("div", { class: "versions", role: "radiogroup", "aria-label": "Version" });
  let all = false;
  let wanted = "";
  const row = (/** @type {string} */ value, /** @type {import("../dom.js").Child} */ label, /** @type {import("../dom.js").Child} */ more) => {
    const input = h("input", {
      type: "radio", class: "form-check-input", name: group, value, checked: value === chosen,
      onchange: () => { chosen = value; choose(value); },
    });
    return h("label", { class: "version" }, input, h("span", { class: "version-name" }, label), h("span", { class: "version-more" }, more));
  };
  const draw = () => {
    const fitting = releases.filter((one) => one.version.includes(wanted));
    const shown = all || wanted ? fitting : fitting.slice(0, FIRST);
    fill(
      list,
      !wanted && row("", "Newest that fits", h("span", { class: "muted" }, "the plan chooses")),
      shown.map((one) => row(
        one.version,
        name(one.version),
        [marks(one, now), h("span", { class: "muted version-when" }, [one.uploaded_at && date(one.uploaded_at), size(one.size)].filter(Boolean).join(" · "))],
      )),
      fitting.length === 0 && h("p", { class: "muted version-none" }, "No version matches."),
      shown.length < fitting.length &&
        button(`Show all ${fitting.length} versions`, () => { all = true; draw(); }, { kind: "quiet", small: true }),
    );
  };
  draw();
  const id = uniqueId("filter");
  return h(
    "div",
    null,
    releases.length > 8 && h("div", { class: "version-filter" },
      h("label", { for: id, class: "visually-hidden" }, "Filter versions"),
      h("input", { id, class: "form-control form-control-sm", placeholder: `Filter ${releases.length} versions`, autocomplete: "off",
        oninput: (/** @type {Event} */ event) => { wanted = /** @type {HTMLInputElement} */ (event.target).value.trim(); draw(); } })),
    list,
  );
}
