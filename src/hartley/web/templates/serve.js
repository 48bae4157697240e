// Filters a table as one types, and follows a run that is being played. All pages work without it.
"use strict";

for (const input of document.querySelectorAll("input[data-filter]")) {
  const place = document.getElementById(input.dataset.filter);
  if (!place) continue;
  const lines = [...(place.tBodies ? place.tBodies[0].rows : place.children)];
  const texts = lines.map((line) => line.textContent.toLowerCase());
  const count = document.querySelector(`[data-count="${input.dataset.filter}"]`);
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/);
    let matching = 0;
    lines.forEach((line, k) => {
      line.hidden = !words.every((word) => texts[k].includes(word));
      matching += line.hidden ? 0 : 1;
    });
    if (count) count.textContent = matching;
  };
  input.addEventListener("input", filter);
  // A browser fills a field again that was typed into before, after this script has run.
  window.addEventListener("pageshow", () => input.value && filter());
}

const section = document.querySelector("[data-progress]");
if (section) {
  const words = section.querySelector("[data-words]");
  const heard = section.querySelector("[data-heard]");
  const bar = section.querySelector("progress");
  const STEPS = 10; // so often a run is announced to those who listen; what is seen changes always
  let last = null;
  const say = (text, step, aloud = true) => {
    if (words.textContent !== text) words.textContent = text;
    if (step !== last && aloud) heard.textContent = text;
    last = step;
  };
  // Whoever reads or types here is not torn away.
  const idle = () => document.activeElement === document.body && window.scrollY < 200;
  const ended = () => {
    if (idle()) return location.reload();
    say("The run has ended; read it again to see its verdict.", "ended");
    bar.value = bar.max;
  };
  const follow = async () => {
    let wait = 2000;
    try {
      const answer = await fetch(section.dataset.progress);
      if (answer.status === 403) {
        say("The server was started again: open the address that it printed.", "refused");
        return;
      }
      if (!answer.ok) throw new Error(answer.status);
      const now = await answer.json();
      if (now.ended) return ended();
      bar.max = now.planned || 1;
      bar.value = now.done;
      const step = `${now.playing} ${Math.floor((STEPS * now.done) / (now.planned || 1))}`;
      say(now.words, step, last !== null); // what a page says first is read as a part of it
    } catch {
      say("The server does not answer. Start it again to see how far the run is.", "silent");
      wait = 5000;
    }
    setTimeout(follow, wait);
  };
  setTimeout(follow, 2000);
}
