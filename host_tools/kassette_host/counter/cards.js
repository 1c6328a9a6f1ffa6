// The rack of cards. A card over the reader is in its field, also while it is still in the hand: wave it to tap,
// lay it down to leave it there, take it away too early to tear the sale.
import { $, make, money } from "./format.js";

const CLICK_PX = 6; // a press that moves less is a click

export class Cards {
  /** onMoney(card): somebody wants more money on it. */
  constructor(wire, onMoney) {
    this.wire = wire;
    this.onMoney = onMoney;
    this.slots = new Map(); // card id -> {slot, card, known, add}
    this.state = [];
    this.drag = null;
    $("new-card").addEventListener("click", () => wire.send("new_card"));
    window.addEventListener("resize", () => this.arrange());
    new ResizeObserver(() => this.arrange()).observe($("cards"));
  }

  show(cards, reader) {
    this.state = cards;
    this.isReal = reader.real;
    for (const card of cards) {
      const parts = this.slots.get(card.id) ?? this.add(card);
      parts.known.textContent = card.known === null ? "not known yet" : `${money(card.known)} by the books`;
      parts.card.setAttribute("aria-pressed", card.on_reader);
      const place = card.on_reader ? "on the reader" : "in the rack";
      parts.card.setAttribute("aria-label", `Card of ${card.holder}, …${card.last4}, ${place}, ${parts.known.textContent}`);
    }
    this.arrange();
    $("pad-text").textContent = reader.real ? `Real reader: ${reader.real}` : this.padText(cards);
    $("pad").classList.toggle("wanting", reader.wants && !cards.some((card) => card.on_reader));
  }

  padText(cards) {
    const there = cards.filter((card) => card.on_reader).map((card) => card.holder);
    return there.length ? there.join(" and ") : "Hold a card here";
  }

  add(card) {
    const face = make("button", { type: "button", class: "card", "data-card": card.id });
    face.style.setProperty("--tint", card.colour);
    const known = make("span", { class: "known" });
    face.append(make("span", { class: "holder" }, card.holder), known, make("span", { class: "chip" }), waves());
    face.append(make("span", { class: "last4" }, `•••• ${card.last4}`));
    const more = make("button", { type: "button", class: "add", "aria-label": `Add money to the card of ${card.holder}` }, "+ money");
    more.addEventListener("click", () => this.onMoney(card));
    face.addEventListener("pointerdown", (event) => this.lift(event, card.id));
    face.addEventListener("click", (event) => event.detail === 0 && this.toggle(card.id)); // Enter and the space bar
    const slot = make("div", { class: "slot" }, face, more);
    $("cards").append(slot);
    const parts = { slot, card: face, known, add: more };
    this.slots.set(card.id, parts);
    return parts;
  }

  find(id) {
    return this.state.find((card) => card.id === id);
  }

  /** A click lays the card on the reader in the place of any other, or takes it away. */
  toggle(id) {
    if (this.isReal) return;
    if (this.find(id).on_reader) {
      this.wire.send("card_take", { card: id });
      return;
    }
    for (const other of this.state) if (other.on_reader) this.wire.send("card_take", { card: other.id });
    this.wire.send("card_put", { card: id });
  }

  lift(event, id) {
    if (event.button !== 0 || this.isReal || this.drag) return;
    event.preventDefault();
    const { card } = this.slots.get(id);
    const box = card.getBoundingClientRect();
    const home = card.style.transform;
    this.drag = { id, card, home, x: event.clientX, y: event.clientY, left: box.left, top: box.top, moved: false, inField: this.find(id).on_reader };
    const own = { signal: (this.drag.ends = new AbortController()).signal };
    card.setPointerCapture(event.pointerId);
    card.addEventListener("pointermove", (move) => this.move(move), own);
    card.addEventListener("pointerup", (up) => this.drop(up, true), own);
    card.addEventListener("pointercancel", (up) => this.drop(up, false), own);
  }

  move(event) {
    const drag = this.drag;
    const dx = event.clientX - drag.x;
    const dy = event.clientY - drag.y;
    if (!drag.moved && Math.hypot(dx, dy) < CLICK_PX) return;
    drag.moved = true;
    drag.card.classList.add("moving");
    this.place(drag.card, drag.left + dx, drag.top + dy);
    const over = this.isOverPad(drag.card);
    if (over !== drag.inField) {
      drag.inField = over;
      this.wire.send(over ? "card_put" : "card_take", { card: drag.id });
      drag.card.classList.toggle("in-field", over);
    }
    $("pad").classList.toggle("near", over);
  }

  drop(event, isMeant) {
    const drag = this.drag;
    this.drag = null;
    drag.ends.abort();
    drag.card.classList.remove("moving");
    $("pad").classList.remove("near");
    if (!drag.moved && isMeant) this.toggle(drag.id);
    else this.arrange(drag);
  }

  isOverPad(card) {
    const pad = $("pad").getBoundingClientRect();
    const box = card.getBoundingClientRect();
    const x = box.left + box.width / 2;
    const y = box.top + box.height / 2;
    return x > pad.left - 20 && x < pad.right + 20 && y > pad.top - 20 && y < pad.bottom + 20;
  }

  /** Move a card to a place of the window, whatever its own slot is. */
  place(card, left, top) {
    const home = card.parentElement.getBoundingClientRect();
    card.style.transform = `translate(${left - home.left}px, ${top - home.top - card.offsetTop}px)`;
  }

  /** Each card to where it belongs; `just`: the drag that ended, whose card the shop may not have told of yet. */
  arrange(just = null) {
    const laid = this.state.filter((card) => (card.id === just?.id ? just.inField : card.on_reader));
    for (const { id } of this.state) {
      const { slot, card } = this.slots.get(id);
      const at = laid.findIndex((one) => one.id === id);
      if (this.drag?.id === id && this.drag.moved) continue;
      slot.classList.toggle("away", at >= 0);
      card.classList.toggle("laid", at >= 0);
      card.classList.toggle("in-field", at >= 0);
      if (at < 0) card.style.transform = "";
      else this.lay(card, at, laid.length);
    }
  }

  lay(card, at, count) {
    const ring = document.querySelector(".pad-ring").getBoundingClientRect();
    const shift = (at - (count - 1) / 2) * 26;
    const left = ring.left + (ring.width - card.offsetWidth) / 2 + shift;
    this.place(card, left, ring.top + (ring.height - card.offsetHeight) / 2 + shift);
  }
}

function waves() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 64 64");
  svg.setAttribute("class", "waves");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svg.namespaceURI, "path");
  path.setAttribute("d", "M20 20a17 17 0 0 1 0 24M29 14a26 26 0 0 1 0 36M38 8a35 35 0 0 1 0 48");
  svg.append(path);
  return svg;
}
