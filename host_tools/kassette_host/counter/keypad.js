// The 4x4 keypad: a key is down on the terminal for as long as a finger, the mouse or a key of the keyboard holds it.
import { $, make } from "./format.js";

const ROWS = ["123A", "456B", "789C", "*0#D"];
const MEANING = {
  A: ["balance", "function", "A: balance of a card"],
  B: ["last slip", "function", "B: last slip again"],
  C: ["total, close", "function", "C: the day's total, and once more: close the day"],
  D: ["customer", "function", "D: the customer's page"],
  "#": ["OK", "ok", "# OK"],
  "*": ["clear", "clear", "* clear, cancel"],
};
const KEYBOARD = { Enter: "#", "#": "#", Escape: "*", Backspace: "*", "*": "*" };
const PRESSES_BUTTON = new Set(["Enter", " "]);

export class Keypad {
  constructor(wire) {
    this.wire = wire;
    this.buttons = {};
    this.held = new Map(); // what holds it (pointer or keyboard key) -> key of the pad
    for (const key of ROWS.join("")) $("keypad").append(this.button(key));
    document.addEventListener("keydown", (event) => this.keyboardDown(event));
    document.addEventListener("click", (event) => {
      if (event.detail > 0) event.target.closest("button, summary")?.blur(); // by mouse: Enter is the terminal's again
    });
    document.addEventListener("keyup", (event) => this.up(`kb ${event.code}`));
    window.addEventListener("blur", () => this.upAll());
  }

  button(key) {
    const [word, kind, name] = MEANING[key] ?? ["", "", key];
    const button = make("button", { type: "button", class: `key ${kind}`, "data-key": key, "aria-label": name }, key);
    if (word) button.append(make("small", {}, word));
    button.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the focus stays where the keyboard is
      button.setPointerCapture(event.pointerId);
      this.down(`ptr ${event.pointerId}`, key);
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      button.addEventListener(name, (event) => this.up(`ptr ${event.pointerId}`));
    }
    button.addEventListener("contextmenu", (event) => event.preventDefault());
    this.buttons[key] = button;
    return button;
  }

  keyboardDown(event) {
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    const focused = document.activeElement;
    let key = KEYBOARD[event.key] ?? (/^[0-9a-dA-D]$/.test(event.key) ? event.key.toUpperCase() : null);
    if (PRESSES_BUTTON.has(event.key) && focused?.dataset.key) key = focused.dataset.key;
    else if (PRESSES_BUTTON.has(event.key) && focused?.matches("button, a, summary")) return;
    else if (focused?.matches("select")) return;
    if (!key) return;
    event.preventDefault();
    this.down(`kb ${event.code}`, key);
  }

  down(holder, key) {
    if (this.held.has(holder)) return;
    this.held.set(holder, key);
    this.wire.send("key_down", { key });
    this.show();
  }

  up(holder) {
    const key = this.held.get(holder);
    if (!key) return;
    this.held.delete(holder);
    if (![...this.held.values()].includes(key)) this.wire.send("key_up", { key });
    this.show();
  }

  upAll() {
    for (const holder of [...this.held.keys()]) this.up(holder);
  }

  show() {
    const held = new Set(this.held.values());
    for (const [key, button] of Object.entries(this.buttons)) button.classList.toggle("held", held.has(key));
  }
}
