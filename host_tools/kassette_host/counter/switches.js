// What can go wrong, as switches: the network, the plug, the card that is pulled away.
import { $, make } from "./format.js";

// The eight exchanges of a sale, in their order (the card's own names for them).
const COMMANDS = [
  "Select application", "Authenticate", "Authenticate, second half", "Read the header", "Read the newest record", "Debit", "Write the record",
  "Commit",
];

export class Switches {
  constructor(wire) {
    this.wire = wire;
    for (const input of document.querySelectorAll("input[name=network]")) {
      input.addEventListener("change", () => wire.send("network", { state: input.value }));
    }
    $("plug").addEventListener("click", () => wire.send("plug", { state: this.power?.on ? "out" : "in" }));
    $("arm").addEventListener("click", () => wire.send("plug", { state: this.power?.armed ? "keep" : "arm" }));
    $("dead-button").addEventListener("click", () => wire.send("plug", { state: "in" }));
    $("tear-at").append(make("option", { value: "0" }, "Stays in the field"));
    COMMANDS.forEach((name, i) => $("tear-at").append(make("option", { value: i + 1 }, `At command ${i + 1}: ${name}`)));
    $("tear-at").addEventListener("change", () => {
      this.tear();
      $("tear-at").blur(); // the keyboard is the terminal's again
    });
    for (const input of document.querySelectorAll("input[name=lost]")) input.addEventListener("change", () => this.tear());
  }

  tear() {
    const lost = document.querySelector("input[name=lost]:checked").value;
    this.wire.send("tear", { command: Number($("tear-at").value), lost });
  }

  showNetwork(network) {
    for (const input of document.querySelectorAll("input[name=network]")) input.checked = input.value === network.state;
  }

  showTear(tear) {
    $("tear-at").value = tear.command;
    $("torn").classList.toggle("set", tear.command > 0);
    for (const input of document.querySelectorAll("input[name=lost]")) {
      if (tear.command) input.checked = input.value === tear.lost;
    }
  }

  showPower(power) {
    this.power = power;
    $("power").classList.toggle("off", !power.on);
    $("plug").textContent = power.on ? "Pull the plug" : "Plug it in";
    $("arm").disabled = !power.on;
    $("arm").classList.toggle("armed", power.armed);
    $("arm").setAttribute("aria-pressed", power.armed);
    $("arm").textContent = power.armed ? "Armed: keep" : "Cut mid-write";
    $("dead").hidden = power.on;
    $("dead-text").textContent = power.fault ?? power.cut ?? "";
    $("dead-button").textContent = power.fault ? "Switch it on again" : "Plug it in again";
    $("dead").classList.toggle("fault", Boolean(power.fault));
  }
}
