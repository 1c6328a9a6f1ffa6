// When the books change, load this page once more and put its new middle in the old one's place.
"use strict";

const DELAY_MS = 250; // several changes in a row are one
let waiting = 0;

async function refresh() {
  waiting = 0;
  if (document.activeElement?.closest("form")) return schedule(); // somebody is choosing a filter
  const answer = await fetch(location.href);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.querySelector("main").replaceWith(document.adoptNode(page.querySelector("main")));
}

function schedule() {
  waiting ||= setTimeout(refresh, DELAY_MS);
}

const sign = document.getElementById("live");
const events = new EventSource("/api/events");
events.onopen = () => sign.classList.add("on");
events.onerror = () => sign.classList.remove("on");
events.onmessage = schedule;
