/**
 * The browser's own `<dialog>`: it keeps the focus inside, closes with Escape, and gives the focus back. Airflow's frame
 * forbids the browser's own questions and messages.
 */
import { h, uniqueId } from "./dom.js";
import { button } from "./parts.js";

/** @typedef {import("./dom.js").Child} Child */

/**
 * @param {Child} title
 * @param {{body: Child, actions: Child[], wide?: boolean, onsubmit?: () => void}} content
 * @returns {{close: (then?: () => void) => void, element: HTMLDialogElement}} `then` takes the focus instead of the opener
 */
export function openDialog(title, content) {
  const opener = document.activeElement;
  const id = uniqueId("dialog");
  /** @type {(() => void) | null} */
  let next = null;
  const close = (/** @type {unknown} */ then = null) => {
    next = typeof then === "function" ? () => void then() : null;
    element.close();
  };
  const element = h(
    "dialog",
    { class: content.wide ? "sheet sheet-wide" : "sheet", "aria-labelledby": id },
    h(
      "form",
      {
        method: "dialog",
        novalidate: true,
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          content.onsubmit?.();
        },
      },
      h("header", { class: "sheet-head" }, h("h2", { id }, title), button("Close", close, { kind: "quiet", shape: "cross", class: "btn act-quiet icon-only" })),
      h("div", { class: "sheet-body" }, content.body),
      h("footer", { class: "sheet-foot" }, content.actions),
    ),
  );
  element.addEventListener("close", () => {
    element.remove();
    if (next) next();
    else if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
  });
  element.addEventListener("mousedown", (event) => {
    if (event.target === element) close();
  });
  document.body.appendChild(element);
  element.showModal();
  const first = element.querySelector("[autofocus]");
  if (first instanceof HTMLElement) first.focus();
  return { close, element };
}

/**
 * Asks before something that cannot be taken back lightly.
 * @param {string} title
 * @param {Child} body
 * @param {{action: string, danger?: boolean, run: () => Promise<void> | void, keep?: string}} choice
 */
export function confirmDialog(title, body, choice) {
  const act = button(
    choice.action,
    async () => {
      act.disabled = true;
      close();
      await choice.run();
    },
    { kind: choice.danger ? "danger" : "primary" },
  );
  const { close } = openDialog(title, {
    body,
    actions: [button(choice.keep ?? "Cancel", () => close(), { autofocus: true }), act],
  });
}
