/**
 * Builds elements. Text is only ever set as text, so a name that looks like HTML stays a name.
 * @typedef {Node | string | number | null | undefined | false | Child[]} Child
 * @typedef {{[name: string]: unknown}} Props
 */

const AS_PROPERTY = new Set(["value", "checked", "indeterminate"]);

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props | null} [props] `onclick` and the like are listeners; true, false and null are boolean attributes
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = null, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (AS_PROPERTY.has(name)) {
      Object.assign(element, { [name]: value });
    } else if (name === "href" && !/^(#|https:\/\/|\.\.?\/|[\w-]+\/)/.test(String(value))) {
      continue; // only our own places and https
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  append(element, children);
  return element;
}

/**
 * @param {Node} parent
 * @param {Child} child
 */
function append(parent, child) {
  if (Array.isArray(child)) for (const one of child) append(parent, one);
  else if (child instanceof Node) parent.appendChild(child);
  else if (child !== null && child !== undefined && child !== false) {
    parent.appendChild(document.createTextNode(String(child)));
  }
}

/**
 * Replaces what an element holds.
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  const fragment = document.createDocumentFragment();
  append(fragment, children);
  element.replaceChildren(fragment);
}

let counter = 0;
/**
 * @param {string} prefix
 * @returns {string} an id that this page has not used yet
 */
export function uniqueId(prefix) {
  counter += 1;
  return `${prefix}-${counter}`;
}

/**
 * Text from outside: isolated, so that right-to-left names do not turn their surroundings.
 * @param {string} text
 * @param {string} [className]
 */
export function name(text, className = "") {
  return h("bdi", { class: className || null, dir: "auto" }, visible(text));
}

/**
 * Text of several lines: the first is a sentence, what follows is shown as it stands, for example lines of a file.
 * @param {string} text
 * @returns {Child}
 */
export function paragraphs(text) {
  const [first = "", ...following] = visible(text).trimEnd().split("\n");
  return following.length === 0 ? first : [first, h("code", { class: "lines" }, following.join("\n"))];
}

/**
 * @param {string} text
 * @returns {string} the text with control and direction-changing characters made visible
 */
export function visible(text) {
  return text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
