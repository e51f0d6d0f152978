"use strict";
// Without this script all pictures are shown next to each other, and curves without values.
for (const box of document.querySelectorAll(".pictures.many")) {
  const figures = [...box.querySelectorAll("figure")];
  const bar = document.createElement("div"), range = document.createElement("input");
  const play = document.createElement("button"), title = document.createElement("output");
  let timer = null;
  Object.assign(range, {type: "range", min: 0, max: figures.length - 1, step: 1});
  range.setAttribute("aria-label", "Epoch of the picture");
  play.type = "button";
  bar.className = "slider";
  bar.append(play, range, title);
  const show = (place) => {
    range.value = place;
    figures.forEach((figure, number) => { figure.hidden = number !== place; });
    title.textContent = figures[place].querySelector("figcaption").textContent;
    range.setAttribute("aria-valuetext", title.textContent);
  };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  range.addEventListener("input", () => { stop(); show(Number(range.value)); });
  play.addEventListener("click", () => {
    if (timer !== null) { stop(); return; }
    play.textContent = "Pause";
    timer = setInterval(() => show((Number(range.value) + 1) % figures.length), 600);
  });
  figures.forEach((figure) => { figure.querySelector("figcaption").hidden = true; });
  box.classList.remove("many");
  box.before(bar);
  stop();
  show(figures.length - 1);
}

const shorten = (value) => value === null ? "not finite" : String(Number(value.toPrecision(4)));
for (const figure of document.querySelectorAll("figure.chart")) {
  const {box: [left, top, right, bottom], x: [low, high], y: [least, most], unit, series} =
    JSON.parse(figure.querySelector("script").textContent);
  const svg = figure.querySelector("svg"), values = figure.querySelector(".values");
  const add = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.style.visibility = "hidden";
    svg.append(element);
    return element;
  };
  const rule = add("line", {y1: top, y2: bottom, stroke: "currentColor", "stroke-opacity": 0.5, "stroke-width": 0.8});
  const dots = series.map((one) => add("circle", {r: 3.2, fill: `var(--c${one.colour % 8})`}));
  const hide = () => { for (const one of [rule, ...dots]) one.style.visibility = "hidden"; values.textContent = ""; };
  const place = (x) => left + (x - low) / (high - low) * (right - left);
  const move = (event) => {
    const frame = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / frame.width;
    const wanted = low + ((event.clientX - frame.left) * scale - left) / (right - left) * (high - low);
    const every = series.flatMap((one) => one.x);
    if (!every.length) return;
    const x = every.reduce((best, one) => Math.abs(one - wanted) < Math.abs(best - wanted) ? one : best);
    const texts = [];
    series.forEach((one, number) => {
      const found = one.x.indexOf(x), y = found < 0 ? null : one.y[found];
      const shown = y !== null && y >= least && y <= most;
      dots[number].style.visibility = shown ? "visible" : "hidden";
      if (shown) {
        dots[number].setAttribute("cx", place(x));
        dots[number].setAttribute("cy", bottom - (y - least) / (most - least) * (bottom - top));
      }
      if (found >= 0) texts.push(`${one.label} ${shorten(y)}`);
    });
    rule.setAttribute("x1", place(x));
    rule.setAttribute("x2", place(x));
    rule.style.visibility = "visible";
    values.textContent = `${unit} ${x.toLocaleString("en")}: ${texts.join(", ")}`;
  };
  svg.addEventListener("pointermove", move);
  svg.addEventListener("pointerdown", move);
  svg.addEventListener("pointerleave", hide);
}
