/**
 * Follows Airflow's light or dark theme, live. A classic script in the head, so that the first paint has the right
 * colours. In Airflow's frame the parent's <html> carries the class `dark` or `light`, in Airflow 2 the attribute
 * `data-color-scheme`; on our own address Airflow keeps the choice in localStorage; else the system decides.
 */
(() => {
  "use strict";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  /** @returns {HTMLElement | null} the <html> of Airflow's own page, when we are framed by it */
  function parentRoot() {
    if (window.parent === window) return null;
    try {
      return window.parent.document.documentElement;
    } catch {
      return null; // framed by another origin: we may not look
    }
  }

  /** @returns {string | null} */
  function stored() {
    try {
      const airflow2 = window.localStorage.getItem("darkTheme");
      return window.localStorage.getItem("theme") ?? (airflow2 === null ? null : airflow2 === "true" ? "dark" : "light");
    } catch {
      return null; // storage is switched off
    }
  }

  function apply() {
    const parent = parentRoot();
    /** @type {string | null} */
    let theme = null;
    if (parent?.classList.contains("dark")) theme = "dark";
    else if (parent?.classList.contains("light")) theme = "light";
    theme ??= parent?.dataset["colorScheme"] ?? stored();
    if (theme !== "dark" && theme !== "light") theme = system.matches ? "dark" : "light";
    root.setAttribute("data-bs-theme", theme);
    root.classList.toggle("framed", window.parent !== window);
  }

  apply();
  system.addEventListener("change", apply);
  window.addEventListener("storage", apply);
  const parent = parentRoot();
  if (parent) new MutationObserver(apply).observe(parent, { attributes: true, attributeFilter: ["class", "style", "data-color-scheme"] });
})();
