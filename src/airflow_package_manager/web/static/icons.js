/** Small line icons of our own, drawn on a 16 by 16 grid; always beside words, so hidden from screen readers. */

const PATHS = {
  add: "M8 3v10M3 8h10",
  remove: "M3.5 4.5h9M6.5 4.5V3h3v1.5M5 4.5l.6 8.5h4.8l.6-8.5",
  update: "M8 13V4M4.5 7.5 8 4l3.5 3.5",
  down: "M8 3v9M4.5 8.5 8 12l3.5-3.5",
  right: "M6 3.5 10.5 8 6 12.5",
  arrow: "M3 8h9.5M9 4.5 12.5 8 9 11.5",
  check: "m3.5 8.5 3 3 6-7",
  cross: "m4 4 8 8m0-8-8 8",
  again: "M12.7 9.5A5 5 0 1 1 12.5 6M12.8 2.8v3.4H9.4",
  back: "M3.3 9.5A5 5 0 1 0 3.5 6M3.2 2.8v3.4h3.4",
  lock: "M4 7.5h8v6H4zM5.8 7.5V5.3a2.2 2.2 0 0 1 4.4 0v2.2",
  warning: "M8 2.6 14.2 13.4H1.8zM8 6.6v3M8 11.4v.2",
  info: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 7.4v3.4M8 5.2v.2",
  box: "m8 1.8 5.4 2.8v6.6L8 14.2l-5.4-3V4.6zM2.8 4.8 8 7.6l5.2-2.8M8 7.6v6.4",
  layers: "m8 2 6 3-6 3-6-3zM2 8l6 3 6-3M2 11l6 3 6-3",
  file: "M4 1.8h5l3.2 3.2v9.2H4zM9 1.8V5h3.2M6 8.3h4.2M6 10.8h4.2",
  server: "M2.5 2.8h11v4.4h-11zM2.5 8.8h11v4.4h-11zM5 5h.2M5 11h.2",
  clock: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.2 1.6",
  list: "M5.5 4h8M5.5 8h8M5.5 12h8M2.6 4h.2M2.6 8h.2M2.6 12h.2",
  pulse: "M1.5 8.5h3l2-5 3 9 2-4h3",
  person: "M8 8a2.7 2.7 0 1 0 0-5.4A2.7 2.7 0 0 0 8 8zM2.8 13.8c.5-2.6 2.5-4 5.2-4s4.7 1.4 5.2 4",
  offline: "M2 6.2a9 9 0 0 1 12 0M4.6 9.2a5 5 0 0 1 6.8 0M8 12.4v.2",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.4 10.4l3.4 3.4",
  edit: "M3 13l.6-2.8L11 2.8 13.2 5 5.8 12.4z",
};

/**
 * @param {keyof typeof PATHS} shape
 * @param {string} [className]
 * @returns {SVGSVGElement}
 */
export function icon(shape, className = "") {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `icon ${className}`.trim());
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("focusable", "false");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[shape]);
  svg.appendChild(path);
  return svg;
}

/** @typedef {keyof typeof PATHS} Shape */
