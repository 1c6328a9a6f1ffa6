// The display, pixel for pixel: 128 x 64 dots of an SSD1306, drawn as small squares with dark seams.
import { $ } from "./format.js";

const WIDTH = 128;
const HEIGHT = 64;
const LIT = [214, 237, 255];
const SEAM = 0.62; // how bright the right and lower edge of a dot is: the grid of a real panel
const FEWEST_PX = 2; // of a dot, in CSS pixels

export class Oled {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.bits = new Uint8Array((WIDTH * HEIGHT) / 8);
    new ResizeObserver(() => this.fit()).observe(canvas.parentElement);
    this.fit();
  }

  /** As large as the glass allows, every dot of the panel a whole number of the screen's own pixels. */
  fit() {
    const ratio = window.devicePixelRatio || 1;
    const glass = getComputedStyle(this.canvas.parentElement);
    const room = this.canvas.parentElement.clientWidth - parseFloat(glass.paddingLeft) - parseFloat(glass.paddingRight);
    this.scale = Math.max(Math.round(FEWEST_PX * ratio), Math.floor((room * ratio) / WIDTH));
    this.canvas.width = WIDTH * this.scale;
    this.canvas.height = HEIGHT * this.scale;
    this.canvas.style.width = `${this.canvas.width / ratio}px`;
    this.image = this.context.createImageData(this.canvas.width, this.canvas.height);
    this.draw();
  }

  /** `screen`: {bits: base64 of 1024 bytes as in the chip, 8 dots below one another a byte, the top one in bit 0; text}. */
  show(screen) {
    const raw = atob(screen.bits);
    for (let i = 0; i < this.bits.length; i++) this.bits[i] = raw.charCodeAt(i);
    this.draw();
    $("screen-text").textContent = screen.text;
    this.canvas.setAttribute("aria-label", `The terminal's screen: ${screen.text || "dark"}`);
  }

  isLit(x, y) {
    return (this.bits[WIDTH * (y >> 3) + x] >> (y & 7)) & 1;
  }

  draw() {
    const { data, width } = this.image;
    const last = this.scale - 1;
    for (let y = 0; y < this.image.height; y++) {
      const seamY = y % this.scale === last;
      for (let x = 0; x < width; x++) {
        const lit = this.isLit(Math.floor(x / this.scale), Math.floor(y / this.scale));
        const share = seamY || x % this.scale === last ? SEAM : 1;
        const at = (y * width + x) * 4;
        for (let i = 0; i < 3; i++) data[at + i] = LIT[i] * share;
        data[at + 3] = lit ? 255 : 0; // an unlit dot is the black of the glass; the glow is the lit ones' alone
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }
}
