/** Asks for a plan: the one way from a change set to an operation, whoever asks. */
import { post } from "./api.js";
import { openDialog } from "./dialog.js";
import { button } from "./parts.js";
import { problemNotice } from "./problem.js";
import { setLast, tokens } from "./state.js";

/**
 * @typedef {import("./wire.d.ts").OperationCreated} OperationCreated
 * @typedef {import("./state.js").Change} Change
 * @typedef {{changes?: Change[], requirements?: string, restore?: number, acknowledge?: string[]}} Question
 */

/**
 * Sends the question, keeps the token in memory, and shows the operation. Throws `Problem` or `Offline`.
 * @param {Question} question
 */
export async function plan(question) {
  /** @type {OperationCreated} */
  const created = await post("operations", question);
  tokens.set(created.operation.id, created.token);
  setLast(created.operation.id);
  window.location.hash = `#/operations/${encodeURIComponent(created.operation.id)}`;
}

/**
 * Plans from a button: busy while it asks, and a dialog with cause and next action when it is refused at once.
 * @param {HTMLButtonElement} act
 * @param {() => Promise<Question> | Question} question
 */
export async function planFrom(act, question) {
  act.disabled = true;
  act.classList.add("waiting");
  try {
    await plan(await question());
  } catch (error) {
    const { close } = openDialog("This cannot be planned", {
      body: problemNotice(error),
      actions: [button("Close", () => close(), { autofocus: true })],
    });
  } finally {
    act.disabled = false;
    act.classList.remove("waiting");
  }
}

/**
 * The question of an earlier operation, as it can be asked again.
 * @param {{[member: string]: any}} request
 * @param {string[]} [acknowledge]
 * @returns {Question}
 */
export function again(request, acknowledge = []) {
  const accepted = [...new Set([...(request["acknowledge"] ?? []), ...acknowledge])];
  const more = accepted.length ? { acknowledge: accepted } : {};
  if (typeof request["requirements"] === "string") return { requirements: request["requirements"], ...more };
  if (typeof request["restore"] === "number") return { restore: request["restore"], ...more };
  const changes = (request["changes"] ?? []).map((/** @type {Change} */ one) => ({
    action: one.action,
    requirement: one.requirement,
  }));
  return { changes, ...more };
}
