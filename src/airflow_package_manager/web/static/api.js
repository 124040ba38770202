/**
 * Talks to `api/v1/`, relative to the page, so that prefixes and Airflow's frame need no configuration.
 * An answer is data; a refusal is a `Problem`; a server that does not answer is `Offline`.
 * @typedef {import("./wire.d.ts").Session} Session
 * @typedef {{code?: string, title?: string, detail?: string, next_action?: string, [member: string]: unknown}} Body
 */

const ROOT = new URL("api/v1/", document.baseURI);
const GATEWAY = new Set([502, 503, 504]);

/** What the server refuses, as RFC 9457 says it. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {Body} body
   */
  constructor(status, body) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.status = status;
    this.code = body.code ?? "internal";
    this.title = body.title ?? `The server answered ${status}`;
    this.detail = body.detail ?? "";
    this.nextAction = body.next_action ?? "Try again. If it happens again, look into the server's log.";
    /** Members beside the standard ones. @type {{[member: string]: unknown}} */
    this.context = body;
  }
}

/** The server cannot be reached: it restarts, or the network is away. */
export class Offline extends Error {}

/** @type {{header: string, token: string} | null} */
let csrf = null;

/** Milliseconds that the server's clock is ahead of this machine's, as its last answer said. */
let skew = 0;

/** @returns {number} the server's time in Unix milliseconds: deadlines are the server's, whatever this clock says */
export function serverNow() {
  return Date.now() + skew;
}

/** @param {Session} session */
export function remember(session) {
  csrf = session.csrf;
}

/**
 * @template T
 * @param {string} path
 * @param {AbortSignal | null} [signal]
 * @returns {Promise<T>}
 */
export function get(path, signal = null) {
  return send(path, { signal });
}

/**
 * @template T
 * @param {string} path
 * @param {object} body
 * @returns {Promise<T>}
 */
export async function post(path, body) {
  try {
    return await send(path, change(body));
  } catch (error) {
    if (!csrf || !(error instanceof Problem) || error.code !== "csrf-failed") throw error;
    remember(await get("session")); // Airflow's token ends with its session; nothing was done yet
    return send(path, change(body));
  }
}

/**
 * @param {object} body
 * @returns {RequestInit}
 */
function change(body) {
  /** @type {Record<string, string>} */
  const headers = { "Content-Type": "application/json", "X-Package-Manager": "1" };
  if (csrf) headers[csrf.header] = csrf.token;
  return { method: "POST", headers, body: JSON.stringify(body) };
}

/**
 * @param {string} path
 * @param {RequestInit} options
 * @returns {Promise<any>}
 */
async function send(path, options) {
  let response;
  try {
    response = await fetch(new URL(path, ROOT), { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Offline("Airflow's server does not answer.");
  }
  const date = Date.parse(response.headers.get("date") ?? "");
  if (!Number.isNaN(date)) skew = Math.abs(date - Date.now()) > 5000 ? date - Date.now() : 0;
  const isJson = /\bjson\b/.test(response.headers.get("content-type") ?? "");
  if (!isJson && GATEWAY.has(response.status)) throw new Offline("Airflow's server does not answer yet.");
  /** @type {any} */
  let body = null;
  if (isJson) {
    try {
      body = await response.json();
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Offline("The answer of Airflow's server was cut off.");
    }
  }
  if (!response.ok) throw new Problem(response.status, fallback(response.status, body));
  if (!isJson) throw new Problem(response.status, { title: "The server sent something that is not its API's answer" });
  return body;
}

/**
 * @param {number} status
 * @param {any} body
 * @returns {Body}
 */
function fallback(status, body) {
  if (body && typeof body === "object" && body.code) return body;
  if (status === 401) {
    return { code: "not-authenticated", title: "You are not logged in", next_action: "Log in to Airflow and try again." };
  }
  if (status === 403) {
    return {
      code: "forbidden",
      title: "You may not do this",
      next_action: "Ask an Airflow administrator: by default only the Admin role may use the package manager.",
    };
  }
  return { title: `The server answered ${status}` };
}

/**
 * @param {string} text
 * @returns {string} one segment of a path
 */
export function segment(text) {
  return encodeURIComponent(text);
}
