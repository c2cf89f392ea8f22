"use strict";
(() => {
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  const beside = (box, at, gap) => {
    const size = box.getBoundingClientRect();
    const right = at.right + gap;
    const left = right + size.width < innerWidth ? right : at.left - size.width - gap;
    const top = (at.top + at.bottom) / 2 - size.height / 2;
    box.style.left = `${Math.max(6, Math.min(left, innerWidth - size.width - 6))}px`;
    box.style.top = `${Math.max(6, Math.min(top, innerHeight - size.height - 6))}px`;
  };

  // choose the array whose predictions are shown
  for (const choice of all(".choice")) {
    const select = choice.querySelector("select");
    select.parentNode.hidden = false;
    const show = () => {
      all("[data-array]", choice).forEach((each) => (each.hidden = each.dataset.array !== select.value));
      for (const each of all("[data-wrong]", choice)) {
        each.hidden = !each.dataset.wrong.split(" ").includes(select.value);
      }
      fit();
    };
    select.addEventListener("change", show);
  }

  // play frames of the page
  const play = (use, frames, wait) => {
    let at = 0;
    return setInterval(() => use.setAttribute("href", `#frame${frames[(at = (at + 1) % frames.length)]}`), wait);
  };
  for (const player of all(".player")) {
    const button = player.querySelector("button");
    const use = player.querySelector("use");
    const frames = player.dataset.frames.split(" ");
    let running = 0;
    button.hidden = frames.length < 2;
    player.addEventListener("click", () => {
      if (frames.length < 2) return;
      running = running ? clearInterval(running) : play(use, frames, 2400 / frames.length);
      button.textContent = running ? "\u23f8" : "\u25b6";
      if (!running) use.setAttribute("href", `#frame${frames[0]}`);
    });
  }

  // indicate tables that scroll
  const fit = () => {
    for (const wide of all(".wide")) {
      const inner = wide.querySelector(".scroll");
      wide.querySelector(".more").hidden = inner.scrollWidth <= inner.clientWidth + 1;
    }
  };
  fit();
  addEventListener("resize", fit);
  all("details").forEach((each) => each.addEventListener("toggle", fit));

  // show the values of curves at the pointer
  const tip = document.getElementById("tip");
  const untip = () => {
    tip.hidden = true;
    all(".cross").forEach((each) => each.remove());
  };
  const say = (lines) => {
    tip.replaceChildren(
      ...lines.map(([words, style]) => {
        const line = document.createElement("span");
        line.textContent = words;
        line.style.cssText = style;
        return line;
      }),
    );
    tip.hidden = false;
  };
  for (const chart of all("svg.chart[data-from]")) {
    const [from, to, left, right] = ["from", "to", "left", "right"].map((name) => Number(chart.dataset[name]));
    const lines = all("[data-x]", chart).map((each) => ({
      name: each.dataset.name,
      color: `color: ${getComputedStyle(each).stroke}`,
      x: each.dataset.x.split(" ").map(Number),
      y: each.dataset.y.split(" ").map(Number),
    }));
    const steps = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
    let at = -1;
    const near = (x, step) => {
      const away = x.map((each) => Math.abs(each - step));
      return away.indexOf(Math.min(...away));
    };
    const show = () => {
      untip();
      const step = steps[at];
      const x = left + ((step - from) / (to - from || 1)) * (right - left);
      const cross = chart.querySelector(".grid").cloneNode();
      const ends = { x1: x, x2: x, y1: 20, y2: chart.viewBox.baseVal.height - 30, class: "cross" };
      Object.entries(ends).forEach(([key, value]) => cross.setAttribute(key, value));
      chart.append(cross);
      const values = lines.map((line) => [`${line.name}: ${line.y[near(line.x, step)]}`, line.color]);
      say([[`step ${step}`, ""], ...values]);
      beside(tip, cross.getBoundingClientRect(), 12);
    };
    all("title", chart).forEach((each) => each.remove()); // the tooltip replaces them
    for (const kind of ["pointermove", "click"]) {
      chart.addEventListener(kind, (event) => {
        const place = chart.getBoundingClientRect();
        const x = ((event.clientX - place.left) / place.width) * chart.viewBox.baseVal.width;
        at = near(steps, from + ((x - left) / (right - left)) * (to - from));
        show();
      });
    }
    chart.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === "Escape") untip();
      if (!by) return;
      event.preventDefault();
      at = Math.max(0, Math.min(steps.length - 1, at + by));
      show();
    });
    chart.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && untip());
    chart.addEventListener("blur", untip);
  }
  for (const mark of all("svg.chart .mark, svg.chart .level")) {
    const title = mark.querySelector("title");
    const words = title.textContent;
    title.remove();
    for (const kind of ["pointerenter", "click"]) {
      mark.addEventListener(kind, (event) => {
        say([[words, ""]]);
        beside(tip, { left: event.clientX, right: event.clientX, top: event.clientY, bottom: event.clientY }, 14);
      });
    }
    mark.addEventListener("pointerleave", untip);
  }
  addEventListener("scroll", untip, { passive: true });
  addEventListener("beforeprint", () => all("details").forEach((each) => (each.open = true)));

  const block = document.getElementById("clips");
  if (!block) return;
  const clips = JSON.parse(block.textContent);
  const card = document.getElementById("card");
  const maps = all("svg.map");
  const REACH_PX = 16;
  let marked = [];
  let playing = 0;
  let placed = 0; // position of the dot when its card was placed, px from the top of the window

  // names are inserted as text, never as HTML
  function show(dot) {
    const clip = clips[dot.dataset.clip];
    hide();
    marked = maps.map((map) => map.querySelector(`[data-clip="${dot.dataset.clip}"]`));
    marked.forEach((each) => {
      each.classList.add("on");
      each.parentNode.append(each); // draw it on top of the others
    });
    card.querySelector("use").setAttribute("href", `#frame${clip.frame}`);
    card.querySelector(".card-name").textContent = clip.video;
    card.querySelector(".card-note").textContent = clip.note;
    card.hidden = false;
    if (clip.film.length > 2 && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
      playing = play(card.querySelector("use"), clip.film, 250);
    }
    place(dot.getBoundingClientRect());
  }

  function place(dot) {
    placed = dot.top;
    beside(card, dot, 12);
  }

  function hide() {
    card.hidden = true;
    clearInterval(playing);
    marked.forEach((each) => each.classList.remove("on"));
    marked = [];
  }

  for (const map of maps) {
    let at = -1;
    const step = (by) => {
      at = (at + by + clips.length) % clips.length;
      show(map.querySelector(`[data-clip="${at}"]`));
    };
    // the nearest dot, not the topmost: covered dots stay reachable, and touch may be inexact
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
  // focusing a map scrolls to it: a card shown by keys follows its dot, one shown by the pointer is hidden. A scroll
  // event may arrive after a later pointer event; then the dot has not moved
  const follow = () => {
    const own = marked.find((each) => each.closest("svg") === document.activeElement);
    if (own) place(own.getBoundingClientRect());
    else if (!marked.some((each) => each.getBoundingClientRect().top === placed)) hide();
  };
  addEventListener("scroll", follow, { passive: true });
})();
