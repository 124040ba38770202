/** An operation that is being applied, or was: steps, components with their instances, events, the result. */
import { serverNow } from "../api.js";
import { confirmDialog } from "../dialog.js";
import { fill, h, name, paragraphs, visible } from "../dom.js";
import { dateTime, duration, expected, relative, sentence, timeOfDay } from "../format.js";
import { button, card, folded, notice, pill, say } from "../parts.js";
import { again, planFrom } from "../planning.js";
import { problemNotice } from "../problem.js";
import { may } from "../state.js";
import { difference, file } from "../diff.js";
import { instanceRows } from "./instances.js";
import { counts, planContent, warnings } from "./plan_content.js";
import { stepper, steps } from "./stepper.js";

/**
 * @typedef {import("../wire.d.ts").Operation} Operation
 * @typedef {import("../wire.d.ts").Event} Event
 * @typedef {import("../wire.d.ts").Component} Component
 */

/**
 * @param {Operation} operation
 * @param {() => Promise<void>} cancel
 * @param {AbortSignal} signal
 * @returns {import("./operation.js").Part}
 */
export function progressView(operation, cancel, signal) {
  const hero = h("div", { class: "hero" });
  const result = h("div", null);
  const trouble = h("div", null);
  const road = h("div", { class: "road" });
  const components = h("div", null);
  const list = h("ol", { class: "events", role: "log", "aria-label": "Events" });
  const elapsed = h("span", { class: "number" });
  const plan = operation.plan;
  let latest = operation;
  let drawn = 0;
  const tick = () => {
    const from = new Date(latest.accepted_at ?? latest.created_at).getTime();
    const to = latest.ended_at ? new Date(latest.ended_at).getTime() : serverNow();
    fill(elapsed, duration((to - from) / 1000));
    for (const age of components.querySelectorAll("time")) fill(age, relative(age.dateTime));
  };
  const timer = setInterval(tick, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
  const askCancel = () => confirmDialog("Cancel this operation?", leftBehind(latest), {
    action: "Cancel the operation", danger: true, keep: "Let it go on",
    run: async () => {
      try {
        await cancel();
        say("Cancelling was asked for.");
      } catch (error) {
        fill(trouble, problemNotice(error));
      }
    },
  });

  const drawHero = keyed((/** @type {Operation} */ now) => fill(hero,
    h("div", { class: "hero-top" }, pill(now.state), now.revision !== null && h("span", { class: "muted" }, `Revision ${now.revision}`),
      h("span", { class: "muted" }, now.ended_at ? "took " : "for ", elapsed, !now.ended_at && now.state !== "ROLLING_BACK" && plan ? [", ", expected(plan)] : "")),
    h("h2", { dir: "auto" }, visible(now.summary)),
    h("p", { class: "muted" }, `${visible(now.owner.name)}, ${dateTime(now.accepted_at ?? now.created_at)}`),
    !now.ended_at && h("div", { class: "working" }, h("span", { class: "spinner", "aria-hidden": "true" }),
      h("p", { class: "doing", role: "status" }, visible(now.step || "Working")),
      now.cancel_requested ? h("span", { class: "muted" }, "Cancelling…") : now.actions.includes("cancel") && may("apply") && button("Cancel", askCancel, { small: true }))));
  const drawRoad = keyed((/** @type {import("./stepper.js").Step[]} */ marks) => fill(road, stepper(marks)));
  const drawComponents = keyed((/** @type {Component[] | null} */ seen) => fill(components, componentTable(latest, seen)));
  const drawResult = keyed((/** @type {Operation} */ now) => fill(result, outcome(now)));

  const element = h("div", { class: "stack" }, hero, result, trouble,
    operation.accepted_at !== null && card("Progress", { flush: true }, road, components),
    card("Events", { note: "Everything is also in the audit record." }, list),
    plan && folded(["The plan ", h("span", { class: "muted" }, counts(plan))], { class: "fold-panel" }, h("div", { class: "stack" }, warnings(plan), planContent(plan))));
  return {
    element,
    update: ({ operation: now, events, components: seen }) => {
      const ended = latest.ended_at === null && now.ended_at !== null;
      latest = now;
      drawHero(now, [now.state, now.step, now.cancel_requested, now.ended_at, now.actions]);
      drawResult(now, [now.state, now.problem]);
      const marks = steps(now, events);
      drawRoad(marks, marks);
      drawComponents(seen, [now.components, seen?.map((one) => [one.name, one.status, one.message, one.infrastructure, one.unverified, one.instances.map((row) => ({ ...row, reported_at: null }))])]);
      for (const event of events.slice(drawn)) list.appendChild(eventRow(event));
      if (events.length > drawn) list.scrollTop = list.scrollHeight;
      drawn = events.length;
      tick();
      if (ended) result.scrollIntoView({ block: "nearest" });
    },
  };
}

/**
 * Draws only when what it depends on has changed, so that focus and open folds stay.
 * @template T
 * @param {(value: T) => void} draw
 * @returns {(value: T, key: unknown) => void}
 */
function keyed(draw) {
  let known = "";
  return (value, key) => {
    const text = JSON.stringify(key);
    if (text === known) return;
    known = text;
    draw(value);
  };
}


/**
 * @param {Operation} operation
 * @param {Component[] | null} seen
 */
function componentTable(operation, seen) {
  if (operation.components.length === 0 || !seen) return null;
  return h("table", { class: "rows" },
    h("caption", { class: "visually-hidden" }, "Components and their instances"),
    h("thead", null, h("tr", null, ["Component", "Stage", "Instance", "State"].map((title) => h("th", { scope: "col" }, title)))),
    h("tbody", null, operation.components.map((one) => instanceRows(one, seen.find((other) => other.name === one.name) ?? null))));
}

/** @param {Event} event */
function eventRow(event) {
  return h("li", null,
    h("time", { class: "muted number", datetime: event.at }, timeOfDay(event.at)),
    h("span", null, event.component && [h("strong", null, name(event.component)), " "], h("span", { dir: "auto" }, visible(event.message))));
}

/** @param {Operation} now */
function outcome(now) {
  const problem = now.problem;
  const why = problem && [
    h("p", { dir: "auto" }, h("strong", null, visible(problem.title)), problem.detail && problem.detail !== problem.title && [". ", paragraphs(problem.detail)]),
    h("p", { class: "next" }, h("strong", null, "What to do: "), paragraphs(problem.next_action)),
    byHand(problem["commands"]),
    typeof problem["difference"] === "string" && difference(problem["difference"]),
    typeof problem["output"] === "string" && problem["output"] !== "" && folded("What it printed", {}, h("pre", { class: "raw", tabindex: "0" }, visible(problem["output"]))),
    because(problem["because"]),
    h("p", { class: "code-name" }, problem.code),
  ];
  const unverified = now.components.filter((one) => one.unverified !== null);
  const retry = button("Plan again", () => void planFrom(retry, () => again(now.request)), { shape: "again", small: true });
  const actions = h("div", { class: "notice-actions" }, may("plan") && retry, h("a", { class: "btn btn-sm act-secondary", href: "#/packages" }, "Go to Packages"));
  if (now.state === "SUCCEEDED") {
    return notice(unverified.length > 0 ? "warn" : "good", unverified.length > 0 ? "info" : "check", now.plan && !now.plan.lock_changes ? "The file was saved; nothing had to restart" : unverified.length > 0 ? "The new packages are in place, but not verified everywhere" : "Every component runs the new packages",
      h("p", null, now.revision !== null ? `This is revision ${now.revision}. It can be restored from the history.` : ""),
      unverified.map((one) => h("p", null, h("strong", null, name(one.name), ": not verified"), ", because ", visible(one.unverified ?? ""), ".")),
      h("div", { class: "notice-actions" }, h("a", { class: "btn btn-sm act-secondary", href: "#/packages" }, "Go to Packages")));
  }
  if (now.state === "ROLLED_BACK") {
    return notice("warn", "back", "Put back: every component runs the packages it had before", h("p", null, "Nothing was lost. The attempt stays in the history."), why, actions);
  }
  if (now.state === "FAILED") return notice("bad", "warning", "It failed and needs a person", why, actions);
  if (now.state === "CANCELLED") return notice("quiet", "cross", "Cancelled: nothing was changed", why, actions);
  if (now.state === "ROLLING_BACK") return notice("warn", "back", "Going back to the packages of before", why, h("p", { class: "muted" }, "Components that were touched are restarted once more; the others are left alone."));
  return null;
}

/**
 * What a person types to bring the components back.
 * @param {unknown} commands
 */
function byHand(commands) {
  if (!Array.isArray(commands) || commands.length === 0) return null;
  return h("div", { class: "by-hand" }, h("p", null, h("strong", null, "By hand: "), "this brings back what each component was told before."),
    file(commands.map(String).join("\n"), "Commands"));
}

/**
 * Why it went back at all, beside why that did not end.
 * @param {unknown} reason
 */
function because(reason) {
  if (reason === null || typeof reason !== "object") return null;
  const { title, detail } = /** @type {{title?: string, detail?: string}} */ (reason);
  return h("p", { dir: "auto" }, h("strong", null, "It went back because: "), visible(title ?? ""), detail && [". ", paragraphs(detail)]);
}

/** @param {Operation} now */
function leftBehind(now) {
  const touched = now.components.filter((one) => one.stage !== "waiting").map((one) => one.name);
  if (now.state === "ROLLING_OUT" || now.state === "VERIFYING") {
    return [
      h("p", null, "requirements.txt goes back to what it was."),
      h("p", null, touched.length
        ? `${sentence(touched)} ${touched.length === 1 ? "is" : "are"} restarted once more, back to the packages of before; this takes about as long as it took so far. The other components are left alone.`
        : "No component has restarted yet, so none has to restart again."),
      h("p", { class: "muted" }, "The attempt stays in the history."),
    ];
  }
  return [
    h("p", null, "No component was restarted and requirements.txt was not changed: nothing is left behind but the attempt in the history."),
    now.state === "PREFLIGHT" && h("p", { class: "muted" }, "The check that is running now is ended."),
  ];
}
