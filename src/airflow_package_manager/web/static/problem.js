/** Shows what went wrong, why, and always what to do next. */
import { Offline, Problem } from "./api.js";
import { fill, h, paragraphs, visible } from "./dom.js";
import { button, notice, skeleton } from "./parts.js";
import { answered } from "./poll.js";
import { problemDetails } from "./problem_details.js";
import { state } from "./state.js";

/**
 * @param {unknown} error
 * @param {...import("./dom.js").Child} actions
 * @returns {HTMLElement}
 */
export function problemNotice(error, ...actions) {
  if (error instanceof Problem) {
    const field = typeof error.context["field"] === "string" ? error.context["field"] : null;
    const more = [...actions];
    if (error.status === 401) more.unshift(loginButton());
    return notice(
      "bad",
      "warning",
      error.title,
      error.detail && error.detail !== error.title && h("p", null, paragraphs(error.detail)),
      field && h("p", { class: "muted" }, "Field: ", h("code", null, visible(field))),
      h("p", { class: "next" }, h("strong", null, "What to do: "), paragraphs(error.nextAction)),
      problemDetails(error.context, error.nextAction),
      typeof error.context["operation"] === "string" &&
        h("p", null, h("a", { href: `#/operations/${encodeURIComponent(error.context["operation"])}` }, "Open the other operation")),
      h("p", { class: "code-name" }, error.code),
      more.length > 0 && h("div", { class: "notice-actions" }, more),
    );
  }
  if (error instanceof Offline) {
    return notice(
      "warn",
      "offline",
      "Airflow’s server does not answer",
      h("p", { class: "next" }, "Nothing was sent twice. It may be restarting: try again in a moment."),
      actions.length > 0 && h("div", { class: "notice-actions" }, actions),
    );
  }
  const text = error instanceof Error ? error.message : String(error);
  return notice("bad", "warning", "The page itself failed", h("p", null, text), h("p", { class: "next" }, "Reload the page."));
}

/** Airflow's frame cannot leave itself, but a link in Airflow's own page can. */
export function loginButton() {
  return button("Log in to Airflow", () => {
    let place = window.document;
    try {
      place = window.parent.document;
    } catch {
      // framed by another origin: only our own frame can go there
    }
    const link = place.createElement("a");
    link.href = loginAddress(place.defaultView?.location.href ?? window.location.href);
    place.body.appendChild(link);
    link.click();
    link.remove();
  }, { kind: "primary", shape: "person" });
}

/**
 * Who was never let in was not told which Airflow this is; its own page around ours has one address in all of them,
 * and there Airflow itself asks to log in.
 * @param {string} here where to come back to
 */
function loginAddress(here) {
  const version = state.session?.airflow_version;
  if (version === undefined) return new URL("../plugin/package-manager", document.baseURI).href;
  const target = new URL(version.startsWith("2.") ? "../login/" : "../api/v2/auth/login", document.baseURI);
  target.searchParams.set("next", here);
  return target.href;
}

/**
 * Loads, and shows each stage of loading: grey lines, the answer, or the problem with a way to try again.
 * @template T
 * @param {Element} place
 * @param {string} what
 * @param {AbortSignal} signal
 * @param {() => Promise<T>} ask
 * @param {(answer: T) => import("./dom.js").Child} render
 * @returns {Promise<void>}
 */
export async function load(place, what, signal, ask, render) {
  fill(place, skeleton(what));
  try {
    const answer = await answered(ask, signal);
    if (answer !== null && !signal.aborted) fill(place, render(answer));
  } catch (error) {
    if (signal.aborted) return;
    fill(place, problemNotice(error, button("Try again", () => void load(place, what, signal, ask, render), { shape: "again" })));
  }
}
