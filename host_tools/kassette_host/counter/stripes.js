// The stripe cards and the slot. A card that is dragged through moves as the hand does: where the head stood on it, and
// when, is sent to the shop, which makes the flux of it. A click or Enter swipes with a steady hand.
import { $, make, money } from "./format.js";

const CARD_MM = 85.6;
const MARGIN_MM = 15; // of the hand's way before the card and behind it
const STEADY_MM_MS = 0.45; // 45 cm/s
const STEADY_STEP_MS = 10;
const LONGEST_MS = 4000;
const MOST_POINTS = 250;
const FRAME_MS = 16; // a pointer that stood still says nothing until it moves
const CLICK_PX = 6;
const REACH_PX = { left: 50, right: 120, end: 70 }; // how near a card must come to slide into the slot

export class Stripes {
  /** onMoney(card): somebody wants more money in its account. */
  constructor(wire, onMoney) {
    Object.assign(this, { wire, onMoney });
    this.parts = new Map(); // stripe id -> {face, known, printed}
    this.drag = null;
    for (const input of document.querySelectorAll("input[name=rack]")) input.addEventListener("change", () => this.showRack(input.value));
  }

  show(stripes, slot) {
    $("rail").hidden = !slot.fitted;
    $("rack-kind").hidden = !slot.fitted || !stripes.length;
    $("rail").classList.toggle("wanting", slot.wants);
    for (const card of stripes) {
      const parts = this.parts.get(card.id) ?? this.add(card);
      parts.known.textContent = card.known === null ? "no account here" : `${money(card.known)} in the account`;
      parts.printed.textContent = card.sequence === null ? card.number : `${card.number} · stripe ${card.sequence}`;
      parts.face.setAttribute("aria-label", `Stripe card of ${card.holder}, ${parts.printed.textContent}, ${parts.known.textContent}: swipe it`);
    }
  }

  showRack(kind) {
    const isStripe = kind === "stripe";
    $("cards").classList.toggle("aside", isStripe);
    $("stripes").classList.toggle("aside", !isStripe);
    $("new-card").hidden = isStripe;
    $("rack-hint").textContent = isStripe
      ? "Drag a card through the slot at the terminal’s side, or click it: a steady hand swipes it"
      : "Drag a card over the reader, or click it to lay it there";
  }

  add(card) {
    const face = make("button", { type: "button", class: `card stripe ${card.kind}`, "data-stripe": card.id });
    face.style.setProperty("--tint", card.colour);
    const known = make("span", { class: "known" });
    face.append(make("span", { class: "band" }), make("span", { class: "holder" }, card.holder), known);
    if (card.pin) face.append(make("span", { class: "pin" }, `PIN ${card.pin}`));
    const printed = make("span", { class: "printed" });
    face.append(printed);
    face.addEventListener("pointerdown", (event) => this.lift(event, card.id));
    face.addEventListener("click", (event) => event.detail === 0 && this.swipe(card.id)); // Enter and the space bar
    const slot = make("div", { class: "slot" }, face);
    if (card.kind === "good") {
      const more = make("button", { type: "button", class: "add", "aria-label": `Add money to the account of ${card.holder}` }, "+ money");
      more.addEventListener("click", () => this.onMoney(card));
      slot.append(more);
    }
    $("stripes").append(slot);
    const parts = { face, known, printed };
    this.parts.set(card.id, parts);
    return parts;
  }

  // --- the hand

  lift(event, id) {
    if (event.button !== 0 || this.drag) return;
    event.preventDefault();
    const { face } = this.parts.get(id);
    const home = face.parentElement.getBoundingClientRect();
    this.drag = { id, face, home, x: event.clientX, y: event.clientY, moved: false, inSlot: false, way: new Way() };
    const own = { signal: (this.drag.ends = new AbortController()).signal };
    face.setPointerCapture(event.pointerId);
    face.addEventListener("pointermove", (move) => this.move(move), own);
    face.addEventListener("pointerup", () => this.drop(true), own);
    face.addEventListener("pointercancel", () => this.drop(false), own);
  }

  move(event) {
    const drag = this.drag;
    if (!drag.moved && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < CLICK_PX) return;
    drag.moved = true;
    drag.face.classList.add("moving");
    for (const one of event.getCoalescedEvents?.() ?? []) this.follow(one);
    this.follow(event);
  }

  follow(event) {
    const drag = this.drag;
    const rail = $("rail").getBoundingClientRect();
    const wasIn = drag.inSlot;
    drag.inSlot =
      rail.width > 0 && event.clientX > rail.left - REACH_PX.left && event.clientX < rail.right + REACH_PX.right &&
      event.clientY > rail.top - REACH_PX.end && event.clientY < rail.bottom + REACH_PX.end;
    if (wasIn && !drag.inSlot) this.send(drag.id, drag.way.end());
    drag.face.classList.toggle("in-slot", drag.inSlot);
    if (!drag.inSlot) {
      drag.face.style.transform = `translate(${event.clientX - drag.x}px, ${event.clientY - drag.y}px)`;
      return;
    }
    this.slide(drag.face, drag.home, event.clientY);
    const passed = drag.way.go(event.timeStamp, this.placeOfHead(drag.face, event.clientY));
    if (passed) this.send(drag.id, passed);
  }

  drop(isMeant) {
    const drag = this.drag;
    this.drag = null;
    drag.ends.abort();
    drag.face.classList.remove("moving", "in-slot");
    drag.face.style.transform = "";
    if (!drag.moved && isMeant) this.swipe(drag.id);
    else if (isMeant) this.send(drag.id, drag.way.end());
  }

  /** In the slot a card stands upright, its stripe towards the terminal; only up and down are left. */
  slide(face, home, y) {
    const rail = $("rail").getBoundingClientRect();
    const x = rail.left + rail.width / 2 + face.offsetHeight / 2 - 9;
    face.style.transform = `translate(${x - home.left - face.offsetWidth / 2}px, ${y - home.top - face.offsetTop - face.offsetHeight / 2}px) rotate(-90deg)`;
  }

  /** Millimetres from the card's lower end to the head, when the card's middle is at `y`. */
  placeOfHead(face, y) {
    const head = $("rail-head").getBoundingClientRect();
    return ((y - head.top - head.height / 2) / face.offsetWidth) * CARD_MM + CARD_MM / 2;
  }

  // --- without a hand

  async swipe(id) {
    const { face } = this.parts.get(id);
    const path = [];
    const way = CARD_MM + 2 * MARGIN_MM;
    for (let ms = 0; ms * STEADY_MM_MS < way; ms += STEADY_STEP_MS) path.push([ms, ms * STEADY_MM_MS - MARGIN_MM]);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) await this.fly(face, path);
    this.send(id, path);
  }

  async fly(face, path) {
    const home = face.parentElement.getBoundingClientRect();
    const head = $("rail-head").getBoundingClientRect();
    const at = (mm) => {
      this.slide(face, home, head.top + head.height / 2 + ((mm - CARD_MM / 2) / CARD_MM) * face.offsetWidth);
      return face.style.transform;
    };
    const [start, end] = [at(path[0][1]), at(path.at(-1)[1])];
    face.style.transform = "";
    face.classList.add("moving");
    await face.animate([{ transform: start }, { transform: end }], { duration: path.at(-1)[0] }).finished;
    face.classList.remove("moving");
  }

  send(id, path) {
    if (!path) return;
    const start = path[0][0];
    const sent = path.map(([ms, mm]) => [Math.round(ms - start), Math.round(mm * 10)]);
    this.wire.send("swipe", { stripe: id, path: sent });
    const [first, last] = [sent[0], sent.at(-1)];
    const speed = Math.abs(last[1] - first[1]) / Math.max(1, last[0] - first[0]);
    $("rail-speed").textContent = `${Math.round(speed * 10)} cm/s`;
  }
}

/** Where the head has been on a card: points of time and place, from one end of the card to the other. */
class Way {
  constructor() {
    this.points = [];
    this.last = null;
  }

  /** The card is at `mm` now; the way when it has just left the head behind, else null. */
  go(ms, mm) {
    const before = this.last;
    this.last = [ms, mm];
    if (before && ms < before[0]) return null; // events that come together may come twice
    const isNear = (place) => place > -MARGIN_MM && place < CARD_MM + MARGIN_MM;
    const isPast = before && !isNear(before[1]) && !isNear(mm) && before[1] < 0 !== mm < 0;
    if (!this.points.length && !isNear(mm) && !isPast) return null;
    if (before && !this.points.length) this.points.push(before);
    if (before && ms - before[0] > 2 * FRAME_MS) this.points.push([ms - FRAME_MS, before[1]]); // it stood still until then
    this.points.push([ms, mm]);
    return isNear(mm) ? null : this.end();
  }

  /** The card is taken away: the way, or null when the head saw nothing of it. */
  end() {
    const points = this.points;
    this.points = [];
    const latest = points.at(-1)?.[0] ?? 0;
    const recent = points.filter(([ms]) => latest - ms < LONGEST_MS);
    const places = recent.map(([, mm]) => mm);
    if (recent.length < 2 || Math.max(...places) < 0 || Math.min(...places) > CARD_MM) return null;
    const nth = Math.ceil(recent.length / MOST_POINTS);
    return recent.filter((_, i) => i % nth === 0 || i === recent.length - 1).map(([ms, mm]) => [ms, Math.max(-200, Math.min(280, mm))]);
  }
}
