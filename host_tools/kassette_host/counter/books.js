// The two live panes: the journal in the terminal's flash, and the books of the back office.
import { $, age, make, money } from "./format.js";

const TONES = { committed: "good", "late commit": "good", unresolved: "open" };
const OUTCOMES = { committed: "good", open: "open", unresolved: "open", given: "open", written_off: "bad" };

/** Rows of a table by key, newest first; those that were not there before light up. */
class Rows {
  constructor(body, columns, emptyText) {
    Object.assign(this, { body, columns, emptyText });
    this.known = null; // key -> what its cells said
  }

  show(rows, key, cells) {
    const before = this.known;
    this.known = new Map(rows.map((row) => [key(row), JSON.stringify(row)]));
    const made = rows.map((row) => {
      const fresh = before && before.get(key(row)) !== this.known.get(key(row));
      return make("tr", { class: fresh ? "fresh" : null, "data-row": key(row) }, ...cells(row));
    });
    if (!made.length) made.push(make("tr", { class: "empty" }, make("td", { colspan: this.columns }, this.emptyText)));
    this.body.replaceChildren(...made);
  }
}

function state(journal) {
  if (!journal.rows.length) return "empty";
  const waiting = journal.unsent ? `${journal.unsent} wait since ${age(journal.oldest_unsent_s)}` : "all sent";
  return `${journal.fill} % full · ${waiting}`;
}

const number = (text) => make("td", { class: "number" }, text);
const badge = (word, kind) => make("td", {}, make("span", { class: `kind ${kind}` }, word));

export class Books {
  constructor() {
    this.journalRows = new Rows($("journal-rows"), 5, "Nothing yet: the first sale writes an intent before the card is touched.");
    this.officeRows = new Rows($("office-rows"), 4, "No slip booked yet.");
    this.figures = {};
  }

  showJournal(journal) {
    $("journal-line").textContent = journal.error ?? state(journal);
    const meter = $("journal-meter");
    meter.setAttribute("aria-valuenow", journal.fill);
    meter.className = `meter ${journal.fill >= 80 ? "nearly" : journal.fill >= 50 ? "half" : ""}`;
    meter.firstElementChild.style.width = `${Math.max(journal.fill, journal.rows.length ? 1 : 0)}%`;
    this.journalRows.show(journal.rows, (row) => row.serial, (row) => {
      const sent = make("td", { class: row.sent ? "sent" : "sent waiting" }, row.sent ? "yes" : "waits");
      return [make("td", {}, String(row.serial)), badge(row.kind, TONES[row.kind] ?? ""), number(row.slip ?? ""), number(row.amount === null ? "" : money(row.amount)), sent];
    });
  }

  showOffice(office) {
    $("office-line").textContent = office.line;
    this.showFigures({ "Slips": office.slips, "Takings": money(office.takings), "On cards": money(office.on_cards), "In accounts": money(office.in_accounts), "Unresolved": office.unresolved });
    const verdict = $("verdict");
    verdict.textContent = office.verdict;
    verdict.className = `verdict ${office.conserved ? "agrees" : "differs"}`;
    $("mismatches").replaceChildren(...office.mismatches.map((text) => make("li", {}, text)));
    this.officeRows.show(office.rows, (row) => row.slip, (row) => [
      make("td", { class: "number" }, make("a", { href: row.address }, String(row.slip))),
      badge(row.outcome.replaceAll("_", " "), OUTCOMES[row.outcome] ?? ""),
      make("td", {}, row.card),
      number(money(row.amount)),
    ]);
  }

  showFigures(figures) {
    for (const [name, value] of Object.entries(figures)) {
      let shown = this.figures[name];
      if (!shown) {
        shown = this.figures[name] = make("dd", { "data-figure": name });
        $("figures").append(make("div", {}, make("dt", {}, name), shown));
      }
      const text = String(value);
      const isChange = shown.textContent && shown.textContent !== text;
      shown.textContent = text;
      if (!isChange) continue;
      shown.classList.remove("changed");
      void shown.offsetWidth; // start the animation anew
      shown.classList.add("changed");
    }
  }
}
