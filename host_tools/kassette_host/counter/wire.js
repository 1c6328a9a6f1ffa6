// The page's wire to the shop: a WebSocket that brings changes of the state and takes commands.

const FIRST_RETRY_MS = 400;
const LONGEST_RETRY_MS = 5000;

export class Wire {
  /**
   * onState(state, changed): the whole state and the set of its parts that are new.
   * onRefusal(error): {code, text} of a command that was refused.
   * onLink(isUp): the connection came or went.
   */
  constructor({ onState, onRefusal, onLink }) {
    Object.assign(this, { onState, onRefusal, onLink });
    this.state = {};
    this.retryMs = FIRST_RETRY_MS;
    this.open();
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(`${scheme}//${location.host}/ws`);
    this.socket.onopen = () => {
      this.retryMs = FIRST_RETRY_MS;
      this.onLink(true);
    };
    this.socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    this.socket.onclose = () => {
      this.onLink(false);
      setTimeout(() => this.open(), this.retryMs);
      this.retryMs = Math.min(LONGEST_RETRY_MS, this.retryMs * 2);
    };
  }

  receive(message) {
    if (message.error) this.onRefusal(message.error);
    if (!message.set) return;
    Object.assign(this.state, message.set);
    this.onState(this.state, new Set(Object.keys(message.set)));
  }

  /** send("key_down", {key: "5"}); silently nothing while the shop is away. */
  send(cmd, rest = {}) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ cmd, ...rest }));
  }
}
