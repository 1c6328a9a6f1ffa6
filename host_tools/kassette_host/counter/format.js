// Numbers to text, and elements from names: the small words that every part of the page uses.

/** 123456 -> "¥1,234.56"; null -> "–". */
export function money(minor) {
  if (minor === null || minor === undefined) return "–";
  const sign = minor < 0 ? "−" : "";
  const whole = Math.floor(Math.abs(minor) / 100).toLocaleString("en-US");
  return `${sign}¥${whole}.${String(Math.abs(minor) % 100).padStart(2, "0")}`;
}

/** Seconds -> "40 s", "3 min", "2 h", "5 d". */
export function age(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

export const $ = (id) => document.getElementById(id);

/** A new element: make("td", {class: "number"}, "text", child...). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}
