// The counter page: one state from the shop, one part of the page for each part of it.
import { Books } from "./books.js";
import { Cards } from "./cards.js";
import { $, make, money } from "./format.js";
import { Keypad } from "./keypad.js";
import { Oled } from "./oled.js";
import { Paper } from "./paper.js";
import { Buzzer } from "./sound.js";
import { Stripes } from "./stripes.js";
import { Switches } from "./switches.js";
import { Wire } from "./wire.js";

const ADVICE = [
  "Sell something: type 350, press OK, then hold a card to the reader.",
  "Wave a card past the reader too fast. The terminal asks to see it again, and books it once.",
  "Let the answer to command 8 get lost: the card has paid, the terminal can't know. Tap again.",
  "Arm “Cut mid-write”, sell something, and plug it in again: what became of the sale?",
  "Switch the network off, sell, switch it on: every record arrives, once.",
  "Take the paper out and sell: the sale stands, the slip comes when there is paper.",
  "Drag two cards onto the reader at once.",
  "Ask for more than the card holds.",
  "Key in an amount, choose “Stripe cards”, drag one through: the back office is asked while you wait. Then without network.",
  "Press #, choose “Stripe cards” and drag one through the slot: your hand’s speed is what the decoder gets.",
  "Swipe as slowly as you can, or jerk. Then try the old card, and the bank’s.",
];
const OF_CARD = "The back office writes a credit order first, then speaks to the card itself. A terminal can't do that: it holds the debit key only.";
const OF_ACCOUNT = "A stripe is only a number: the money is at the back office, which books it there.";
const PRESETS = [1000, 2000, 5000, 10000, 20000, 50000];
const NOTICE_MS = 6000;

let advice = 0;
let isKeyed = null;

const wire = new Wire({ onState, onRefusal: (error) => notify(error.text), onLink });
const oled = new Oled($("oled"));
const keypad = new Keypad(wire);
const cards = new Cards(wire, askMoney);
const stripes = new Stripes(wire, askMoney);
const paper = new Paper(wire);
const buzzer = new Buzzer();
const switches = new Switches(wire);
const books = new Books();

const PARTS = {
  about: (state) => showAbout(state.about),
  screen: (state) => oled.show(state.screen),
  led: (state) => { $("led").className = `lamp ${state.led ? "green" : ""}`; },
  tones: (state) => buzzer.play(state.tones),
  cards: (state) => cards.show(state.cards, state.reader),
  stripes: (state) => stripes.show(state.stripes, state.slot),
  slot: (state) => stripes.show(state.stripes, state.slot),
  reader: (state) => { cards.show(state.cards, state.reader); switches.showTear(state.reader.tear); },
  paper: (state) => paper.show(state.paper),
  network: (state) => switches.showNetwork(state.network),
  power: (state) => switches.showPower(state.power),
  journal: (state) => books.showJournal(state.journal),
  office: (state) => books.showOffice(state.office),
  log: (state) => { $("log").textContent = state.log.join("\n"); $("log").scrollTop = $("log").scrollHeight; },
};

function onState(state, changed) {
  for (const [name, show] of Object.entries(PARTS)) if (changed.has(name)) show(state);
  document.documentElement.dataset.version = state.version;
}

let noticeTimer = 0;
function notify(text, stays = false) {
  clearTimeout(noticeTimer);
  $("notice").textContent = text;
  $("notice").hidden = !text;
  if (text && !stays) noticeTimer = setTimeout(() => notify(""), NOTICE_MS);
}

function onLink(isUp) {
  if (!isUp) keypad?.upAll();
  notify(isUp ? "" : "The shop is not running. Start it with “make run”; this page will find it.", true);
}

let creditCard = null; // of the rack, or a stripe, which has a number
function askMoney(card) {
  creditCard = card;
  $("money-title").textContent = `Add money to ${card.holder}’s ${card.number ? "account" : "card"}`;
  $("money-text").textContent = card.number ? OF_ACCOUNT : OF_CARD;
  $("money").showModal();
}

for (const minor of PRESETS) {
  const button = make("button", { type: "button", class: "cap", "data-minor": minor }, money(minor).replace(".00", ""));
  button.addEventListener("click", () => {
    if (creditCard.number) wire.send("fill", { stripe: creditCard.id, amount: minor });
    else wire.send("top_up", { card: creditCard.id, amount: minor });
    $("money").close();
  });
  $("amounts").append(button);
}

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}

function showAbout(about) {
  $("about").textContent = about.line;
  $("office-link").href = about.office;
  $("provision").hidden = about.keyed;
  $("try-next").hidden = !about.keyed;
  if (about.keyed === isKeyed) return;
  isKeyed = about.keyed;
  $("try-text").textContent = isKeyed ? ADVICE[advice] : "This terminal is blank: it has a program, but no keys and no journal.";
}
$("provision").addEventListener("click", () => wire.send("provision"));
$("try-next").addEventListener("click", () => {
  advice = (advice + 1) % ADVICE.length;
  $("try-text").textContent = ADVICE[advice];
});
