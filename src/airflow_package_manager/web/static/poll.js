/** Asks again and again until the view is left; a server that does not answer is asked on. */
import { Offline } from "./api.js";
import { connection } from "./state.js";

/** Milliseconds between two questions to a server that does not answer. */
const AWAY = 2000;

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/**
 * Calls `task` until it returns false or the signal aborts. `Offline` is shown and asked over; other errors are thrown.
 * @param {() => Promise<boolean>} task returns whether to go on
 * @param {AbortSignal} signal
 * @param {() => number} [interval] milliseconds to wait after an answer
 */
export async function repeat(task, signal, interval = () => 1000) {
  while (!signal.aborted) {
    let away = false;
    try {
      const goOn = await task();
      connection(true);
      if (!goOn) return;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Offline)) throw error;
      connection(false);
      away = true;
    }
    await pause(away ? AWAY : interval(), signal);
  }
}

/**
 * Calls `ask` until the server answers.
 * @template T
 * @param {() => Promise<T>} ask
 * @param {AbortSignal} signal
 * @returns {Promise<T | null>} null when the view was left
 */
export async function answered(ask, signal) {
  /** @type {T | null} */
  let answer = null;
  await repeat(async () => {
    answer = await ask();
    return false;
  }, signal);
  return signal.aborted ? null : answer;
}
