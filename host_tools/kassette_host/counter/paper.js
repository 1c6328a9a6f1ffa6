// The printer: paper that comes out of the mouth line by line, is torn off, looked at and kept.
import { $, make } from "./format.js";

const FEED_MS_PER_ROW = 2.2; // 58 mm mechanisms print 50 to 60 mm/s: 8 rows a millimetre
const LINE_ROWS = 24;

export class Paper {
  constructor(wire) {
    this.wire = wire;
    this.slips = [];
    this.shown = null; // id of the slip that hangs out of the printer
    this.isFirst = true;
    $("tear-off").addEventListener("click", () => this.tear());
    $("paper").addEventListener("click", () => this.open(this.shown));
    $("slips-open").addEventListener("click", () => this.open(null));
    $("paper-switch").addEventListener("click", () => wire.send("paper", { loaded: !this.isLoaded }));
  }

  show(paper) {
    this.isLoaded = paper.loaded;
    $("paper-lamp").className = `lamp ${paper.loaded ? "green" : "amber"}`;
    $("paper-switch").textContent = paper.loaded ? "Take the paper out" : "Put paper in";
    $("paper-switch").setAttribute("aria-pressed", paper.loaded);
    this.slips = paper.slips;
    const newest = paper.slips.at(-1);
    if (newest && !newest.torn && newest.id !== this.shown) this.feed(newest, this.isFirst);
    else if (newest?.torn || !newest) this.clear();
    const count = paper.slips.length;
    $("slips-open").disabled = !count;
    $("slips-open").textContent = count ? `${count} slip${count > 1 ? "s" : ""} in the tray` : "No slips yet";
    $("tear-off").disabled = !newest || newest.torn;
    this.isFirst = false;
    if ($("slips").open) this.fillGallery(null);
  }

  feed(slip, isAtOnce) {
    this.shown = slip.id;
    const paper = $("paper");
    const image = $("slip-image");
    paper.hidden = false;
    paper.classList.remove("torn");
    paper.getAnimations().forEach((animation) => animation.cancel());
    image.alt = slip.text;
    image.src = `slips/${slip.id}.png`;
    if (isAtOnce) return;
    paper.style.height = "0px";
    image.decode().then(() => this.push(paper, image, slip), () => { paper.style.height = ""; });
  }

  push(paper, image, slip) {
    const height = image.offsetHeight;
    const steps = Math.max(2, Math.round(slip.rows / LINE_ROWS));
    const feed = paper.animate([{ height: "0px" }, { height: `${height}px` }], {
      duration: slip.rows * FEED_MS_PER_ROW,
      easing: `steps(${steps}, end)`,
    });
    paper.style.height = "";
    feed.onfinish = () => feed.cancel();
  }

  tear() {
    if (this.shown === null) return;
    $("paper").classList.add("torn");
    this.wire.send("tear_off", { slip: this.shown });
  }

  clear() {
    if (this.shown === null) return;
    this.shown = null;
    const paper = $("paper");
    const hide = () => { if (this.shown === null) paper.hidden = true; };
    if (!paper.classList.contains("torn")) hide();
    else setTimeout(hide, 450);
  }

  open(id) {
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

function figure(slip) {
  const caption = make("figcaption", {}, slip.at, make("a", { href: `slips/${slip.id}.png`, download: `slip-${slip.id}.png` }, "PNG"));
  return make("figure", {}, make("img", { src: `slips/${slip.id}.png`, alt: slip.text }), caption);
}
