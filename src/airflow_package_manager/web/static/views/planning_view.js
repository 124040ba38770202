/** While versions are worked out: what is being done, for how long, and the way out. */
import { serverNow } from "../api.js";
import { fill, h, visible } from "../dom.js";
import { dateTime, duration, timeOfDay } from "../format.js";
import { button, card, facts, notice } from "../parts.js";
import { again, planFrom } from "../planning.js";
import { problemNotice } from "../problem.js";
import { may } from "../state.js";

/**
 * @param {import("../wire.d.ts").Operation} operation
 * @param {() => Promise<void>} cancel
 * @param {AbortSignal} signal
 * @returns {import("./operation.js").Part}
 */
export function planningView(operation, cancel, signal) {
  const step = h("p", { class: "doing", role: "status" });
  const elapsed = h("span", { class: "number" });
  const list = h("ol", { class: "steps-done" });
  const trouble = h("div", null);
  let drawn = 0;
  const tick = () => fill(elapsed, duration((serverNow() - new Date(operation.created_at).getTime()) / 1000));
  tick();
  const timer = setInterval(tick, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
  const stop = button("Cancel planning", async () => {
    stop.disabled = true;
    try {
      await cancel();
    } catch (error) {
      stop.disabled = false;
      fill(trouble, problemNotice(error));
    }
  });
  const working = h("div", { class: "working" }, h("span", { class: "spinner", "aria-hidden": "true" }), step);
  const element = card("Working out the plan", {
    note: ["Nothing is changed by planning. ", elapsed],
    actions: may("apply") && stop,
  },
  trouble,
  facts([["Change", h("bdi", null, visible(operation.summary))], ["Asked by", h("bdi", null, visible(operation.owner.name))], ["Since", dateTime(operation.created_at)]]),
  list,
  working);
  return {
    element,
    update: ({ operation: now, events }) => {
      if (now.label === "abandoned" && !trouble.hasChildNodes()) {
        const retry = button("Plan again", () => void planFrom(retry, () => again(now.request)), { kind: "primary", shape: "again" });
        fill(trouble, notice("warn", "warning", "The server stopped while it was planning",
          h("p", { class: "next" }, h("strong", null, "What to do: "), "Plan again. Nothing was changed."),
          h("div", { class: "notice-actions" }, may("plan") && retry)));
        stop.hidden = true;
        working.hidden = true;
      }
      const words = visible(now.cancel_requested ? "Cancelling: the planner stops at its next step" : now.step || "Starting");
      if (step.textContent !== words) fill(step, words);
      stop.hidden ||= now.cancel_requested;
      for (const event of events.slice(drawn)) {
        list.appendChild(h("li", null, h("span", { class: "muted number" }, timeOfDay(event.at)), " ", h("span", { dir: "auto" }, visible(event.message))));
      }
      drawn = events.length;
    },
  };
}
