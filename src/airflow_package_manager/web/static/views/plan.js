/** A finished plan: everything that would happen, and the one button that makes it happen. */
import { post, segment, serverNow } from "../api.js";
import { fill, h, visible } from "../dom.js";
import { dateTime, duration } from "../format.js";
import { icon } from "../icons.js";
import { button, notice, say } from "../parts.js";
import { again, planFrom } from "../planning.js";
import { problemNotice } from "../problem.js";
import { may, setActive, setChanges, setLast, state, tokens } from "../state.js";
import { Problem } from "../api.js";
import { difference } from "../diff.js";
import { counts, planContent, warnings } from "./plan_content.js";

/** @typedef {import("../wire.d.ts").Operation} Operation */

/**
 * @param {Operation} operation
 * @param {() => Promise<void>} cancel
 * @param {() => void} applied
 * @param {AbortSignal} signal
 * @returns {import("./operation.js").Part}
 */
export function planView(operation, cancel, applied, signal) {
  const plan = operation.plan;
  const trouble = h("div", { class: "stack" });
  const bar = h("div", { class: "apply-bar" });
  const left = h("span", { class: "number" });
  const expires = new Date(operation.expires_at).getTime();
  const anew = () => button("Plan again", (event) => {
    void planFrom(/** @type {HTMLButtonElement} */ (event.currentTarget), () => again(operation.request));
  }, { kind: "primary", shape: "again" });
  const drop = button("Drop this plan", async () => {
    drop.disabled = true;
    try {
      await cancel();
      setLast(null);
      window.location.hash = "#/packages";
    } catch (error) {
      drop.disabled = false;
      fill(trouble, problemNotice(error));
    }
  }, { kind: "quiet" });
  const apply = button(plan?.lock_changes ? "Apply and restart" : "Apply", async () => {
    const token = tokens.get(operation.id);
    if (!token || !plan) return;
    apply.disabled = true;
    apply.classList.add("waiting");
    try {
      await post(`operations/${segment(operation.id)}/apply`, { token, digest: plan.digest });
      tokens.delete(operation.id);
      setChanges([]);
      setActive(operation.id);
      say("The plan is being applied.");
      applied();
    } catch (error) {
      apply.disabled = false;
      apply.classList.remove("waiting");
      if (error instanceof Problem && ["token-used", "illegal-transition"].includes(error.code)) applied();
      const stale = error instanceof Problem && typeof error.context["difference"] === "string" ? error.context["difference"] : null;
      fill(trouble, problemNotice(error, needsNewPlan(error) && anew()), stale !== null && difference(stale));
      trouble.scrollIntoView({ block: "nearest" });
    }
  }, { kind: "primary", shape: "check" });

  let shape = "";
  const drawBar = () => {
    const seconds = (expires - serverNow()) / 1000;
    const foreign = state.session?.principal.id !== operation.owner.id;
    const wanted = !may("apply") ? "may-not" : seconds <= 0 || operation.label === "expired" ? "expired" : foreign ? "foreign" : tokens.has(operation.id) ? "ready" : "lost";
    fill(left, `${duration(seconds)} left`);
    if (wanted === shape) return;
    shape = wanted;
    if (wanted === "ready") {
      fill(bar, h("p", null, h("strong", null, "What you see is what is applied."), " ", h("span", { class: "muted" }, "This plan can be applied once, by you, in this tab. "), left), h("div", { class: "apply-actions" }, editLink(operation), drop, apply));
      return;
    }
    const [title, text] = {
      expired: ["This plan has expired", "Plans hold for a limited time, so that nothing old is applied by mistake."],
      foreign: [`This plan belongs to ${visible(operation.owner.name)}`, "Only the person who made a plan can apply it. You can plan the same change yourself."],
      lost: ["This page was reloaded, so the plan’s token is gone", "The token that applies a plan lives only in the tab that asked for it. Planning again takes a few seconds and changes nothing."],
      "may-not": ["You may plan, but not apply", "Ask an Airflow administrator to plan and apply this change."],
    }[wanted];
    fill(bar, notice(wanted === "may-not" ? "quiet" : "warn", wanted === "may-not" ? "lock" : "clock", title, h("p", null, text),
      h("div", { class: "notice-actions" }, wanted !== "may-not" && may("plan") && anew(), !foreign && may("apply") && drop)));
  };
  drawBar();
  const timer = setInterval(drawBar, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));

  const element = h("div", { class: "stack" },
    h("div", { class: "hero" },
      h("p", { class: "eyebrow" }, icon("list"), "Plan"),
      h("h2", { dir: "auto" }, visible(operation.summary)),
      h("p", { class: "muted" }, plan ? counts(plan) : "", ` · planned by ${visible(operation.owner.name)}, ${dateTime(operation.created_at)}`)),
    trouble,
    plan && warnings(plan),
    plan && plan.acknowledgements.length > 0 && notice("quiet", "check", "Acknowledged", h("p", null, plan.acknowledgements.map((one) => h("code", { class: "acknowledged" }, visible(one))))),
    plan ? planContent(plan) : null,
    bar);
  return { element, update: () => undefined };
}

/** @param {unknown} error */
function needsNewPlan(error) {
  return error instanceof Problem && ["stale-plan", "token-invalid", "token-expired", "token-used", "image-differs"].includes(error.code);
}

/** @param {Operation} operation */
function editLink(operation) {
  if (Array.isArray(operation.request["changes"])) {
    return h("a", { class: "btn act-secondary", href: "#/packages", onclick: () => setChanges(again(operation.request).changes ?? []) }, "Edit changes");
  }
  return null;
}
