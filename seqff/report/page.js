"use strict";
(() => {
  const block = document.getElementById("clips");
  if (!block) return;
  const clips = JSON.parse(block.textContent);
  const card = document.getElementById("card");
  const maps = [...document.querySelectorAll("svg.map")];
  const REACH_PX = 16;
  let marked = [];
  let placed = 0; // where the dot shown was when the card was put beside it, px from the window's top

  // names go in as text, never as HTML
  function show(dot) {
    const clip = clips[dot.dataset.clip];
    hide();
    marked = maps.map((map) => map.querySelector(`[data-clip="${dot.dataset.clip}"]`));
    marked.forEach((each) => {
      each.classList.add("on");
      each.parentNode.append(each); // on top of the others
    });
    card.querySelector("use").setAttribute("href", `#frame${clip.frame}`);
    card.querySelector(".card-name").textContent = clip.video;
    card.querySelector(".card-note").textContent = clip.note;
    card.hidden = false;
    place(dot.getBoundingClientRect());
  }

  function place(dot) {
    placed = dot.top;
    const size = card.getBoundingClientRect();
    const right = dot.right + 12;
    const left = right + size.width < innerWidth ? right : dot.left - size.width - 12;
    const top = dot.top + dot.height / 2 - size.height / 2;
    card.style.left = `${Math.max(6, Math.min(left, innerWidth - size.width - 6))}px`;
    card.style.top = `${Math.max(6, Math.min(top, innerHeight - size.height - 6))}px`;
  }

  function hide() {
    card.hidden = true;
    marked.forEach((each) => each.classList.remove("on"));
    marked = [];
  }

  for (const map of maps) {
    let at = -1;
    const step = (by) => {
      at = (at + by + clips.length) % clips.length;
      show(map.querySelector(`[data-clip="${at}"]`));
    };
    // the nearest dot, not the topmost: those below others can be had, and a finger need not be exact
    const nearest = (event) => {
      let best = null;
      let least = REACH_PX;
      for (const dot of map.querySelectorAll("circle")) {
        const box = dot.getBoundingClientRect();
        const away = Math.hypot(box.x + box.width / 2 - event.clientX, box.y + box.height / 2 - event.clientY);
        if (away < least) [best, least] = [dot, away];
      }
      return best;
    };
    for (const kind of ["pointermove", "click"]) {
      map.addEventListener(kind, (event) => {
        const dot = nearest(event);
        if (!dot) return hide();
        if (!dot.classList.contains("on")) show(dot);
        at = Number(dot.dataset.clip);
      });
    }
    map.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
    map.addEventListener("focus", () => map.matches(":focus-visible") && step(at < 0 ? 1 : 0));
    map.addEventListener("blur", hide);
    map.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (by) event.preventDefault(), step(by);
      if (event.key === "Escape") hide();
    });
  }
  // focusing a map scrolls to it: what the keys show follows, what the pointer shows would be left behind; the event of
  // a scroll can come after that of a pointer which moved later: then the dot is where it was
  const follow = () => {
    const own = marked.find((each) => each.closest("svg") === document.activeElement);
    if (own) place(own.getBoundingClientRect());
    else if (!marked.some((each) => each.getBoundingClientRect().top === placed)) hide();
  };
  addEventListener("scroll", follow, { passive: true });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => (each.open = true)));
})();
