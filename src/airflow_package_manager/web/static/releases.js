/** What the index knows of a project: asked for rarely, kept for as long as the page lives. */
import { get, segment } from "./api.js";
import { isPrerelease } from "./format.js";

/**
 * @typedef {import("./wire.d.ts").PackageDetail} PackageDetail
 * @typedef {import("./wire.d.ts").Release} Release
 * @typedef {import("./wire.d.ts").Package} Package
 */

/** @type {Map<string, Promise<PackageDetail>>} */
const known = new Map();

/**
 * @param {string} project normalised
 * @returns {Promise<PackageDetail>} rejects with `Problem` (unknown-project and others) or `Offline`
 */
export function detail(project) {
  let asked = known.get(project);
  if (!asked) {
    asked = get(`packages/${segment(project)}`);
    known.set(project, asked);
    asked.then((answer) => { if (answer.index_problem) known.delete(project); }, () => known.delete(project));
  }
  return asked;
}

/** @param {Package} row @returns {string | null} what the components have, or will have */
export function present(row) {
  return row.locked ?? row.installed.find((one) => one.version)?.version ?? row.image;
}

/** @param {Release} release */
export function usable(release) {
  return release.yanked === null && release.has_wheel !== false && !isPrerelease(release.version);
}

/**
 * @param {PackageDetail} answer
 * @returns {string | null} the newest version that can be used, when it is newer than what is present
 */
export function newer(answer) {
  const now = present(answer.package);
  const place = answer.releases.findIndex((one) => one.version === now);
  const candidate = answer.releases.findIndex(usable);
  const found = answer.releases[candidate];
  if (!found || now === null || place === -1 || candidate >= place) return null;
  return found.version;
}

/** @type {[string, (found: string) => void, (problem: string) => void][]} */
const queue = [];
let running = 0;
/** One failed look at the index stops further ones: two hundred time-outs help nobody. */
let stopped = false;

/**
 * Looks for a newer version when its turn comes, two at a time.
 * @param {string} project
 * @param {(version: string) => void} found
 * @param {(problem: string) => void} failed
 */
export function lookForNewer(project, found, failed) {
  queue.push([project, found, failed]);
  next();
}

function next() {
  if (running >= 2) return;
  const turn = queue.shift();
  if (!turn || stopped) return;
  const [project, found, failed] = turn;
  running += 1;
  detail(project)
    .then((answer) => {
      if (answer.index_problem) {
        stopped = true;
        queue.length = 0;
        failed(answer.index_problem);
      }
      const version = newer(answer);
      if (version) found(version);
    }, () => undefined) // an unknown project has no newer version; the details of the row say why
    .finally(() => {
      running -= 1;
      next();
    });
}

/** Lets the next look at the index happen again. */
export function lookAgain() {
  stopped = false;
}
