// The printer: paper that comes out of the mouth line by line, is torn off, looked at and kept.
import { $, make } from "./format.js";

const LINE_MS = 70; // 50 mm/s, a line is 30 dots of 1/8 mm

export class Paper {
  constructor(wire) {
    this.wire = wire;
    this.slips = [];
    this.shown = null; // id of the slip that hangs out of the printer
    this.wanted = ""; // address of its newest picture
    $("tear-off").addEventListener("click", () => this.tear());
    $("paper").addEventListener("click", () => this.open(this.shown));
    $("slips-open").addEventListener("click", () => this.open(null));
    $("paper-switch").addEventListener("click", () => wire.send("paper", { loaded: !this.isLoaded }));
  }

  show(paper) {
    this.isLoaded = paper.loaded;
    $("paper-lamp").className = `lamp ${paper.loaded ? "green" : "amber"}`;
    $("paper-switch").textContent = paper.loaded ? "Take paper out" : "Put paper in";
    $("paper-switch").setAttribute("aria-pressed", paper.loaded);
    this.slips = paper.slips;
    const newest = paper.slips.at(-1);
    if (newest && !newest.torn) this.feed(newest);
    else this.clear();
    const count = paper.slips.filter((slip) => !slip.printing).length;
    $("slips-open").disabled = !count;
    $("slips-open").textContent = count ? `${count} slip${count > 1 ? "s" : ""} in the tray` : "No slips yet";
    $("tear-off").disabled = !newest || newest.torn || newest.printing;
    if ($("slips").open && !this.isOneOpen) this.fillGallery(null);
  }

  /** The slip in the printer as far as it has come. */
  feed(slip) {
    const address = picture(slip);
    if (address === this.wanted) return;
    this.wanted = address;
    const isNew = slip.id !== this.shown;
    this.shown = slip.id;
    const image = make("img", { alt: slip.text, src: address });
    image.decode().then(() => address === this.wanted && this.push(image, isNew), () => {});
  }

  push(image, isNew) {
    const paper = $("paper");
    const before = isNew ? 0 : paper.offsetHeight;
    paper.hidden = false;
    paper.classList.remove("torn");
    paper.getAnimations().forEach((animation) => animation.cancel());
    paper.replaceChildren(image);
    const after = paper.offsetHeight;
    if (after > before) {
      const lines = Math.max(1, (after - before) / 14);
      paper.animate([{ height: `${before}px` }, { height: `${after}px` }], { duration: Math.min(1500, LINE_MS * lines), easing: "linear" });
    }
  }

  tear() {
    if (this.shown === null) return;
    $("paper").classList.add("torn");
    this.wire.send("tear_off", { slip: this.shown });
  }

  clear() {
    if (this.shown === null) return;
    this.shown = null;
    this.wanted = "";
    const paper = $("paper");
    const hide = () => { if (this.shown === null) paper.hidden = true; };
    if (!paper.classList.contains("torn")) hide();
    else setTimeout(hide, 450);
  }

  open(id) {
    this.isOneOpen = id !== null;
    this.fillGallery(id);
    $("slips").showModal();
  }

  /** The slip of that number, or all of them, the newest first. */
  fillGallery(id) {
    const slips = id === null ? [...this.slips].reverse() : this.slips.filter((slip) => slip.id === id);
    $("slips-title").textContent = slips.length === 1 ? "Slip" : "Slips";
    $("gallery").replaceChildren(...slips.map(figure));
  }
}

function picture(slip) {
  return `slips/${slip.id}.png?h=${slip.height}${slip.printing ? "p" : ""}`;
}

function figure(slip) {
  const caption = make("figcaption", {}, slip.at, make("a", { href: picture(slip), download: `slip-${slip.id}.png` }, "PNG"));
  return make("figure", {}, make("img", { src: picture(slip), alt: slip.text }), caption);
}
