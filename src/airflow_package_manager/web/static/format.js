/** Numbers, times and versions as people read them. */

const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

/** @param {string} iso */
export function dateTime(iso) {
  return absolute.format(new Date(iso));
}

/** @param {string} iso */
export function timeOfDay(iso) {
  return clock.format(new Date(iso));
}

/** @param {string} iso */
export function date(iso) {
  const parsed = new Date(iso);
  return Number.isNaN(parsed.getTime()) ? iso : day.format(parsed);
}

/** @param {string} iso */
export function relative(iso) {
  const seconds = (new Date(iso).getTime() - Date.now()) / 1000;
  const size = Math.abs(seconds);
  if (size < 60) return ago.format(Math.round(seconds), "second");
  if (size < 3600) return ago.format(Math.round(seconds / 60), "minute");
  if (size < 86_400) return ago.format(Math.round(seconds / 3600), "hour");
  return ago.format(Math.round(seconds / 86_400), "day");
}

/** @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  return `${Math.floor(whole / 3600)} h${whole % 3600 >= 60 ? ` ${Math.floor((whole % 3600) / 60)} min` : ""}`;
}

/**
 * How long a change may take, as a part of a sentence.
 * @param {{usual_seconds: number | null, longest_seconds: number | null}} plan
 */
export function expected(plan) {
  const usual = plan.usual_seconds === null ? "" : `usually about ${duration(plan.usual_seconds)}`;
  const longest = plan.longest_seconds === null ? "" : `at most ${duration(plan.longest_seconds)}`;
  return [usual, longest].filter(Boolean).join(", ");
}

/** @param {number | null} bytes */
export function size(bytes) {
  if (bytes === null) return "";
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(0)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

/** @param {readonly string[]} words */
export function sentence(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

/**
 * @param {string} version
 * @returns {boolean} alpha, beta, candidate or development (PEP 440)
 */
export function isPrerelease(version) {
  return /\d[._-]?(?:a|b|c|rc|alpha|beta|pre|preview|dev)/i.test(version.split("+")[0] ?? "");
}

/**
 * @param {string} text
 * @returns {string} the project's name as PEP 503 compares it; empty when the text does not begin with a name
 */
export function projectName(text) {
  const found = /^\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)/.exec(text);
  return (found?.[1] ?? "").replace(/[-_.]+/g, "-").toLowerCase();
}
