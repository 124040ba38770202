/** Shows unified diffs and plain files, line by line. */
import { h, visible } from "./dom.js";
import { button, say } from "./parts.js";

/** @param {string} line */
function kind(line) {
  if (line.startsWith("@@")) return "place";
  if (line.startsWith("+++") || line.startsWith("---")) return "file";
  if (line.startsWith("+")) return "plus";
  if (line.startsWith("-")) return "minus";
  return "same";
}

/**
 * @param {string} text a unified diff
 * @param {string} [none] what to say when both sides are equal
 */
export function difference(text, none = "The file stays as it is.") {
  const lines = text.split(/\r?\n/).filter((line, index, all) => line !== "" || index < all.length - 1);
  const shown = lines.filter((line) => kind(line) !== "file");
  if (shown.length === 0) return h("p", { class: "muted" }, none);
  const words = { plus: "added: ", minus: "removed: " };
  return h(
    "div",
    { class: "code", role: "group", "aria-label": "Difference", tabindex: "0" },
    shown.map((line) => {
      const what = kind(line);
      const said = what === "plus" || what === "minus" ? words[what] : "";
      return h(
        "div",
        { class: `line line-${what}` },
        said && h("span", { class: "visually-hidden" }, said),
        visible(line) || " ",
      );
    }),
  );
}

/**
 * @param {string} text
 * @param {string} label
 */
export function file(text, label) {
  if (text === "") return h("p", { class: "muted" }, "Empty.");
  const lines = text.replace(/\r?\n$/, "").split(/\r?\n/);
  const copy = button(
    "Copy",
    async () => {
      try {
        await navigator.clipboard.writeText(text);
        say(`${label} copied.`);
      } catch {
        const range = document.createRange();
        range.selectNodeContents(code);
        window.getSelection()?.removeAllRanges();
        window.getSelection()?.addRange(range);
        say(`${label} selected: press Control and C to copy it.`);
      }
    },
    { small: true, kind: "quiet", name: `Copy ${label}` },
  );
  const code = h(
    "div",
    { class: "code numbered", role: "group", "aria-label": label, tabindex: "0" },
    lines.map((line) => h("div", { class: line.trimStart().startsWith("#") ? "line line-comment" : "line" }, visible(line) || " ")),
  );
  return h("div", { class: "file" }, h("div", { class: "file-tools" }, copy), code);
}
