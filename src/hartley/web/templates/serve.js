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
}

const section = document.querySelector("[data-progress]");
if (section) {
  const words = section.querySelector("[data-words]");
  const bar = section.querySelector("progress");
  const follow = async () => {
    try {
      const answer = await fetch(section.dataset.progress);
      if (!answer.ok) throw new Error(answer.status);
      const now = await answer.json();
      if (now.ended) return location.reload();
      if (words.textContent !== now.words) words.textContent = now.words;
      bar.max = now.planned || 1;
      bar.value = now.done;
    } catch {
      words.textContent = "The server does not answer. Start it again to see how far the run is.";
    }
    setTimeout(follow, 2000);
  };
  setTimeout(follow, 2000);
}
