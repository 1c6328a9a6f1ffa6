// The buzzer: a piezo is a square wave with its top cut off.
import { $ } from "./format.js";

const VOLUME = 0.05;
const EDGE_S = 0.004; // ramps, or the speaker clicks

export class Buzzer {
  constructor() {
    this.isMuted = localStorage.getItem("muted") === "yes";
    this.context = null;
    this.newest = null; // number of the newest tone that was played
    $("mute").addEventListener("click", () => this.toggle());
    this.label();
    for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, () => this.wake(), { capture: true });
  }

  /** Browsers let a page sound only after somebody touched it. */
  wake() {
    if (!this.context && !this.isMuted) this.context = new AudioContext();
    if (this.context?.state === "suspended") this.context.resume();
  }

  toggle() {
    this.isMuted = !this.isMuted;
    localStorage.setItem("muted", this.isMuted ? "yes" : "no");
    this.label();
  }

  label() {
    $("mute").textContent = this.isMuted ? "Sound off" : "Sound on";
    $("mute").setAttribute("aria-pressed", this.isMuted);
  }

  /** `tones`: [{n, hz, ms, after_ms}], the newest last; those that were heard before are skipped. */
  play(tones) {
    const fresh = this.newest === null ? [] : tones.filter((tone) => tone.n > this.newest);
    this.newest = tones.at(-1)?.n ?? this.newest ?? 0;
    if (!fresh.length) return;
    this.flash(fresh.reduce((sum, tone) => sum + tone.ms, 0));
    if (this.isMuted || this.context?.state !== "running") return;
    let at = Math.max(this.context.currentTime, this.until ?? 0);
    for (const tone of fresh) {
      at += Math.min(tone.after_ms, 400) / 1000;
      this.sound(tone.hz, at, tone.ms / 1000);
      at += tone.ms / 1000;
    }
    this.until = at;
  }

  sound(hz, at, seconds) {
    const oscillator = new OscillatorNode(this.context, { type: "square", frequency: hz });
    const body = new BiquadFilterNode(this.context, { type: "lowpass", frequency: 5200 });
    const gain = new GainNode(this.context, { gain: 0 });
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(VOLUME, at + EDGE_S);
    gain.gain.setValueAtTime(VOLUME, Math.max(at + EDGE_S, at + seconds - EDGE_S));
    gain.gain.linearRampToValueAtTime(0, at + seconds);
    oscillator.connect(body).connect(gain).connect(this.context.destination);
    oscillator.start(at);
    oscillator.stop(at + seconds);
  }

  flash(ms) {
    $("grille").classList.add("sounding");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => $("grille").classList.remove("sounding"), Math.max(120, ms));
  }
}
