/** The change set that is being collected: several edits, one plan. */
import { confirmDialog } from "./dialog.js";
import { fill, h, name } from "./dom.js";
import { plural, projectName } from "./format.js";
import { icon } from "./icons.js";
import { button } from "./parts.js";
import { planFrom } from "./planning.js";
import { bus, changes, forget, setChanges } from "./state.js";

const WORDS = { add: "add", update: "update", remove: "remove" };
const SHAPES = /** @type {const} */ ({ add: "add", update: "update", remove: "remove" });

export function tray() {
  const place = h("aside", { class: "tray", "aria-label": "Pending changes" });
  let at = "";
  const draw = () => {
    const list = changes();
    place.hidden = list.length === 0 || at === "operations" || at === "requirements"; // one question at a time
    document.body.classList.toggle("with-tray", !place.hidden);
    if (place.hidden) {
      fill(place);
      return;
    }
    const review = button("Review plan", () => void planFrom(review, () => ({ changes: changes() })), {
      kind: "primary",
      shape: "arrow",
    });
    fill(
      place,
      h("div", { class: "tray-inner" },
        h("p", { class: "tray-title" }, plural(list.length, "pending change"), h("span", { class: "muted" }, "Nothing changes before you have seen the plan.")),
        h("ul", { class: "tray-list" }, list.map((one) => h(
          "li",
          { class: `chip chip-${one.action}` },
          icon(SHAPES[one.action]),
          h("span", { class: "visually-hidden" }, WORDS[one.action]),
          name(one.requirement),
          button("Take out", () => {
            forget(projectName(one.requirement));
            place.querySelector("button")?.focus();
          }, { kind: "quiet", shape: "cross", class: "btn act-quiet icon-only chip-out", name: `Take ${one.requirement} out of the change set` }),
        ))),
        h("div", { class: "tray-actions" },
          button("Discard", () => confirmDialog(
            "Discard the pending changes?",
            h("p", null, `${plural(list.length, "edit")} of this browser tab will be forgotten. Nothing was applied.`),
            { action: "Discard", danger: true, run: () => setChanges([]), keep: "Keep" },
          ), { kind: "quiet" }),
          review),
      ),
    );
  };
  bus.addEventListener("changes", draw);
  bus.addEventListener("place", (event) => {
    at = /** @type {CustomEvent<string>} */ (event).detail;
    draw();
  });
  draw();
  return place;
}

/** Puts the focus on the next step: looking at the plan. */
export function focusTray() {
  const review = document.querySelector(".tray .act-primary");
  if (review instanceof HTMLElement) review.focus();
}
