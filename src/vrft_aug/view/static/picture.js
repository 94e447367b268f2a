// Zoom, pan, brightness and contrast of the pictures of a case. Only what is shown changes.
"use strict";

const MOST = 16; // times the size that fits
const viewports = [...document.querySelectorAll(".viewport")];
const looks = new Map(viewports.map((viewport) => [viewport, { zoom: 1, x: 0, y: 0 }]));
let current = viewports[0]; // the picture that keys act on

function fit(viewport) {
  const stage = viewport.querySelector(".stage");
  const [width, height] = [Number(stage.dataset.width), Number(stage.dataset.height)];
  if (!width || !height) return;
  const scale = Math.min(viewport.clientWidth / width, viewport.clientHeight / height);
  stage.style.width = `${width * scale}px`;
  stage.style.height = `${height * scale}px`;
  stage.classList.add("fitted");
  stage.classList.toggle("small", Math.max(width, height) < 256);
  place(viewport);
}

function place(viewport) {
  const stage = viewport.querySelector(".stage");
  const look = looks.get(viewport);
  const reach = (size, frame) => Math.max(0, (size * look.zoom - frame) / 2) + (look.zoom > 1 ? frame / 4 : 0);
  const [farX, farY] = [reach(stage.clientWidth, viewport.clientWidth), reach(stage.clientHeight, viewport.clientHeight)];
  look.x = Math.min(farX, Math.max(-farX, look.x));
  look.y = Math.min(farY, Math.max(-farY, look.y));
  stage.style.transform = `translate(${look.x}px, ${look.y}px) scale(${look.zoom})`;
  viewport.dataset.zoom = look.zoom.toFixed(2);
}

function zoom(viewport, factor, at = [0, 0]) {
  const look = looks.get(viewport);
  const next = Math.min(MOST, Math.max(1, look.zoom * factor));
  const share = next / look.zoom; // what lies under the pointer stays there
  look.x = at[0] - (at[0] - look.x) * share;
  look.y = at[1] - (at[1] - look.y) * share;
  look.zoom = next;
  if (next === 1) look.x = look.y = 0;
  place(viewport);
  speak(`zoom ${Math.round(100 * next)} percent`);
}

function whole(viewport) {
  looks.set(viewport, { zoom: 1, x: 0, y: 0 });
  place(viewport);
  speak("the whole picture");
}

function move(viewport, x, y) {
  const look = looks.get(viewport);
  look.x += x;
  look.y += y;
  place(viewport);
}

function speak(text) {
  document.querySelector("#spoken").textContent = text;
}

function shade() {
  const [brightness, contrast] = ["#brightness", "#contrast"].map((id) => document.querySelector(id).value);
  for (const image of document.querySelectorAll(".stage img")) {
    image.style.filter = `brightness(${brightness}%) contrast(${contrast}%)`;
  }
}

function slide(id, steps) {
  const slider = document.querySelector(id);
  slider.value = Number(slider.value) + steps * Number(slider.step);
  shade();
  speak(`${id.slice(1)} ${slider.value} percent`);
}

function toggleBoxes() {
  const button = document.querySelector("#boxes");
  if (!button) return;
  const off = document.querySelector(".boxes").classList.toggle("off");
  button.setAttribute("aria-pressed", String(!off));
  speak(off ? "boxes hidden" : "boxes shown");
}

for (const viewport of viewports) {
  viewport.addEventListener("focus", () => (current = viewport));
  viewport.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    if (!by || event.ctrlKey || event.altKey || event.metaKey) return;
    move(viewport, ...by);
    event.preventDefault();
  });
  viewport.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.altKey && !viewport.contains(document.activeElement)) return; // the page scrolls
    event.preventDefault();
    const box = viewport.getBoundingClientRect();
    const at = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    zoom(viewport, event.deltaY < 0 ? 1.2 : 1 / 1.2, at);
  }, { passive: false });
  const held = new Map(); // fingers and mouse buttons that are down
  viewport.addEventListener("pointerdown", (event) => {
    held.set(event.pointerId, event);
    viewport.setPointerCapture(event.pointerId);
    viewport.querySelector(".stage").classList.add("dragged");
  });
  viewport.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    if (held.size === 2) {
      const other = [...held].find(([id]) => id !== event.pointerId)[1];
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
      zoom(viewport, apart(event) / apart(before));
    } else if (looks.get(viewport).zoom > 1) {
      move(viewport, event.clientX - before.clientX, event.clientY - before.clientY);
    } else if (event.pointerType === "touch") {
      window.scrollBy(0, before.clientY - event.clientY); // a whole picture lets the page scroll
    }
    held.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    viewport.addEventListener(end, (event) => {
      held.delete(event.pointerId);
      if (!held.size) viewport.querySelector(".stage").classList.remove("dragged");
    });
  }
  new ResizeObserver(() => fit(viewport)).observe(viewport);
}

document.querySelector("#tools").hidden = false;
document.querySelector("#closer").addEventListener("click", () => zoom(current, 1.5));
document.querySelector("#farther").addEventListener("click", () => zoom(current, 1 / 1.5));
document.querySelector("#whole").addEventListener("click", () => whole(current));
for (const id of ["#brightness", "#contrast"]) document.querySelector(id).addEventListener("input", shade);
document.querySelector("#boxes")?.addEventListener("click", toggleBoxes);

// Key -> what it does to the picture; the page of a case listens.
window.pictureKeys = {
  "+": () => zoom(current, 1.5),
  "=": () => zoom(current, 1.5),
  "-": () => zoom(current, 1 / 1.5),
  r: () => whole(current),
  p: () => current.focus(),
  b: () => slide("#brightness", 1),
  B: () => slide("#brightness", -1),
  c: () => slide("#contrast", 1),
  C: () => slide("#contrast", -1),
  x: toggleBoxes,
};
