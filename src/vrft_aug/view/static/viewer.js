// The viewer works without this script; with it, filters act while one types, links swap the page in place,
// the keyboard works, and a run in progress is followed. The address is always the whole state.
"use strict";

const REGIONS = ["#view", "#follow"]; // what is swapped; the filter stays, so that typing goes on
const $ = (selector) => document.querySelector(selector);
const typing = () => /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
let request = 0;

async function go(address, { push = true, keepFilter = true } = {}) {
  const mine = ++request;
  const response = await fetch(address);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (mine !== request) return; // a later one has overtaken it
  if (!page.querySelector("#view") || !$("#view")) {
    location.assign(address);
    return;
  }
  const scroll = $("#tree .steps")?.scrollTop ?? 0;
  const regions = keepFilter ? REGIONS : [...REGIONS, "#filter", ".runs"];
  for (const region of regions) $(region).replaceWith(page.querySelector(region));
  document.title = page.title;
  if (push) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
  $("#tree .steps").scrollTop = scroll;
  $("#tree [aria-current]")?.scrollIntoView({ block: "nearest" });
  performance.mark("swapped");
}

function filterAddress() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData($("#filter"))) if (value.trim()) query.set(name, value.trim());
  if ($("#view").dataset.follow) query.set("follow", "1");
  return `/?${query}`;
}

function pick(card, push = true) {
  for (const other of document.querySelectorAll(".card[aria-current]")) other.removeAttribute("aria-current");
  card.setAttribute("aria-current", "true");
  showBoxes(card.dataset.number);
  if (!push) return;
  card.scrollIntoView({ block: "nearest" });
  const link = card.querySelector("a.number");
  if (link) history.replaceState(null, "", link.href);
}

function showBoxes(number) {
  for (const group of document.querySelectorAll("#boxes .predicted[data-of]")) {
    group.toggleAttribute("hidden", group.dataset.of !== number);
  }
}

function move(by) {
  const cards = [...document.querySelectorAll("#cards .card")];
  const at = cards.findIndex((card) => card.hasAttribute("aria-current"));
  const next = cards[Math.min(cards.length - 1, Math.max(0, at + by))];
  if (next) pick(next);
}

function follow(selector) {
  const link = $(selector);
  if (!link?.getAttribute("href")) return;
  if ($("#view")) go(link.href, { keepFilter: selector !== "#clear" });
  else location.assign(link.href);
}

function turnTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
}

const KEYS = {
  j: () => move(1),
  ArrowDown: () => move(1),
  k: () => move(-1),
  ArrowUp: () => move(-1),
  ArrowRight: () => follow("#after"),
  ArrowLeft: () => follow("#before"),
  "]": () => follow("#step-after"),
  "[": () => follow("#step-before"),
  "/": () => $("#filter [name=text]")?.focus(),
  x: () => follow("#clear"),
  b: () => $("#boxes")?.classList.toggle("off"),
  c: () => $("#compare") && location.assign($("#compare").href),
  f: () => follow("#follow"),
  t: turnTheme,
  "?": () => $("#help").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && typing()) document.activeElement.blur();
  if (event.ctrlKey || event.metaKey || event.altKey || typing() || $("#help").open) return;
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("#ask")) return void $("#help").showModal();
  if (event.target.closest("#theme")) return void turnTheme();
  const link = event.target.closest("a[href]");
  if (link && $("#view") && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
    const address = new URL(link.href, location.href);
    if (address.pathname === "/" && link.getAttribute("href")) {
      event.preventDefault();
      go(address.href, { keepFilter: !link.closest(".runs, #clear") });
      return;
    }
  }
  const card = event.target.closest("#cards .card");
  if (card && !String(getSelection())) pick(card);
});

document.addEventListener("mouseover", (event) => {
  const card = event.target.closest("#cards .card");
  const picked = $("#cards .card[aria-current]");
  if ($("#boxes")) showBoxes((card ?? picked)?.dataset.number);
});

let pause;
document.addEventListener("input", (event) => {
  if (!event.target.closest("#filter")) return;
  clearTimeout(pause);
  pause = setTimeout(() => go(filterAddress(), { push: false }), event.target.tagName === "SELECT" ? 0 : 120);
});
document.addEventListener("submit", (event) => {
  if (event.target.id !== "filter") return;
  event.preventDefault();
  go(filterAddress());
});
addEventListener("popstate", () => go(location.href, { push: false, keepFilter: false }));

async function look() {
  const view = $("#view");
  if (!view || document.hidden) return;
  const query = new URLSearchParams({ run: view.dataset.run });
  const { rollouts } = await (await fetch(`/status?${query}`)).json();
  if (String(rollouts) === view.dataset.written || view !== $("#view")) return;
  const address = new URL(location.href);
  if (view.dataset.follow) address.searchParams.delete("g");
  await go(address.href, { push: false });
}

if (localStorage.getItem("theme")) document.documentElement.dataset.theme = localStorage.getItem("theme");
addEventListener("DOMContentLoaded", () => {
  $("#tree [aria-current]")?.scrollIntoView({ block: "center" });
  if (new URLSearchParams(location.search).get("pick")) {
    $("#cards .card[aria-current]")?.scrollIntoView({ block: "nearest" });
  }
  setInterval(() => look().catch(() => {}), 2000);
});
