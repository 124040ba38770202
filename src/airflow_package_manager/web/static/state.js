/**
 * What the page knows across its views. The change set survives a reload (sessionStorage); tokens never leave memory.
 * @typedef {import("./wire.d.ts").Session} Session
 * @typedef {{action: "add" | "update" | "remove", requirement: string}} Change
 * @typedef {{operation: string, summary: string} | null} Active
 */
import { projectName } from "./format.js";

const CHANGES = "package-manager.changes";
const LAST = "package-manager.operation";

/** Fires `changes`, `connection`, `active` and `overview`. */
export const bus = new EventTarget();

/** @param {"changes" | "connection" | "active" | "overview"} what */
export function announce(what) {
  bus.dispatchEvent(new Event(what));
}

/** @type {{session: Session | null, offlineSince: number | null, active: string | null}} */
export const state = { session: null, offlineSince: null, active: null };

/** Token per operation, for as long as this page lives. @type {Map<string, string>} */
export const tokens = new Map();

/** @param {"read" | "plan" | "apply"} permission */
export function may(permission) {
  return state.session?.permissions.includes(`package_manager:${permission}`) ?? false;
}

/** @returns {Change[]} the change set that is being collected */
export function changes() {
  const kept = read(CHANGES);
  try {
    const parsed = JSON.parse(kept ?? "[]");
    if (!Array.isArray(parsed)) return [];
    return parsed.filter((one) => typeof one?.action === "string" && typeof one?.requirement === "string");
  } catch {
    return []; // not ours, or cut off: begin anew
  }
}

/** @param {Change[]} list */
export function setChanges(list) {
  write(CHANGES, list.length ? JSON.stringify(list) : null);
  announce("changes");
}

/** @param {Change} change replaces what was collected for the same project */
export function collect(change) {
  const name = projectName(change.requirement);
  setChanges([...changes().filter((one) => projectName(one.requirement) !== name), change]);
}

/** @param {string} name */
export function forget(name) {
  setChanges(changes().filter((one) => projectName(one.requirement) !== name));
}

/** @param {string} name */
export function pendingFor(name) {
  return changes().find((one) => projectName(one.requirement) === name) ?? null;
}

/** @param {boolean} online */
export function connection(online) {
  if (online === (state.offlineSince === null)) return;
  state.offlineSince = online ? null : Date.now();
  announce("connection");
}

/** @param {string | null} id */
export function setActive(id) {
  if (state.active === id) return;
  state.active = id;
  announce("active");
}

/** @param {string | null} id the operation that this tab looked at last: where a reload comes back to */
export function setLast(id) {
  write(LAST, id);
}

export function last() {
  return read(LAST);
}

/** @param {string} key */
function read(key) {
  try {
    return window.sessionStorage.getItem(key) ?? memory.get(key) ?? null;
  } catch {
    return memory.get(key) ?? null;
  }
}

/**
 * @param {string} key
 * @param {string | null} value
 */
function write(key, value) {
  if (value === null) memory.delete(key);
  else memory.set(key, value);
  try {
    if (value === null) window.sessionStorage.removeItem(key);
    else window.sessionStorage.setItem(key, value);
  } catch {
    // storage is switched off: the page's own memory holds it until a reload
  }
}

/** @type {Map<string, string>} */
const memory = new Map();
