// A case of a reader study. The form works without this script; with it there are keys, the time that the page
// was in sight is counted, and an answer that the server did not take stays on the page.
"use strict";

const $ = (selector) => document.querySelector(selector);
const form = $("#answer");
const kept = `reading:${$("main").dataset.reading}`; // the time so far, should the browser go away
const images = [...document.querySelectorAll(".stage img")];
let seconds = Number(stored(kept)) || 0;
let since = null; // when the page came into sight with all pictures loaded
let sending = false;
let answered = false;

function stored(key, value) {
  try {
    if (value === undefined) return localStorage.getItem(key);
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    return null; // storage is switched off
  }
  return null;
}

function tick() {
  const now = performance.now();
  if (since !== null) seconds += (now - since) / 1000;
  since = document.visibilityState === "visible" && loaded() ? now : null;
  if (!answered) stored(kept, String(seconds));
  form.elements.seconds.value = seconds.toFixed(3);
}

const loaded = () => images.every((image) => image.complete && image.naturalWidth > 0);
const broken = () => images.some((image) => image.complete && image.naturalWidth === 0);

function tell(text) {
  $("#told").textContent = text;
  $("#told").hidden = !text;
}

function ready() {
  tick();
  if (broken()) tell("A picture cannot be shown. Do not answer; tell who runs the study.");
}

async function send(event) {
  event.preventDefault();
  if (sending) return;
  if (!loaded()) {
    ready();
    if (!broken()) tell("The picture is still coming. Answer when you see it.");
    return;
  }
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  const text = form.querySelector("input[type=text]");
  if (boxes.length && !text && !boxes.some((box) => box.checked)) {
    tell("Choose at least one, then save.");
    boxes[0].focus();
    return;
  }
  tick();
  sending = true;
  $("#save").setAttribute("aria-disabled", "true");
  try {
    const response = await fetch(form.action, {
      method: "POST",
      headers: { accept: "text/plain" }, // the next address alone: a page that is fetched counts as shown
      body: new URLSearchParams(new FormData(form)),
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const next = await response.text();
    answered = true;
    stored(kept, null);
    location.replace(next);
  } catch (error) {
    const full = String(error.message).includes("507");
    tell(full
      ? "Not saved: the machine that serves this page cannot write it. Tell who runs the study, then save again."
      : "Not saved: the server does not answer. Your answer is still here; save again when it is back.");
    sending = false;
    $("#save").removeAttribute("aria-disabled");
  }
}

function choose(key) {
  const option = form.querySelector(`[data-key="${key}"]`);
  if (!option) return false;
  option.focus();
  if (option.type === "radio") option.checked = true;
  else option.checked = !option.checked;
  option.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
}

function onKey(event) {
  if (event.ctrlKey && event.key === "Enter") {
    form.requestSubmit();
    return;
  }
  if (event.ctrlKey || event.altKey || event.metaKey || $("#help").open) return;
  const at = document.activeElement;
  const writing = at.matches("textarea, input[type=text]");
  if (event.key === "Enter") {
    // Where Enter has a meaning of its own it keeps it; elsewhere it saves.
    if (at.matches("textarea, button, a, input[type=text], input[type=radio]")) return;
    event.preventDefault();
    form.requestSubmit();
    return;
  }
  if (writing || stored("single-keys") === "off") return;
  const act = window.pictureKeys[event.key];
  if (event.key === "?") $("#help").showModal();
  else if (/^[0-9]$/.test(event.key)) {
    if (!choose(event.key)) return;
  } else if (act) act();
  else return;
  event.preventDefault();
}

if (location.search) history.replaceState(null, "", location.pathname); // what it told was told once
form.addEventListener("submit", send);
form.addEventListener("change", (event) => {
  tell("");
  // "None of them" and "cannot tell" stand alone.
  const [box, group] = [event.target, form.querySelectorAll("input[type=checkbox][name=answer]")];
  if (!box.checked || box.name !== "answer") return;
  for (const other of group) {
    if (other !== box && ("alone" in box.dataset || "alone" in other.dataset)) other.checked = false;
  }
});
document.addEventListener("keydown", onKey);
document.addEventListener("visibilitychange", tick);
window.addEventListener("pagehide", tick);
for (const image of images) for (const event of ["load", "error"]) image.addEventListener(event, ready);
ready();
setInterval(tick, 1000);
$("#ask").hidden = false;
$("#ask").addEventListener("click", () => $("#help").showModal());
$("#single").checked = stored("single-keys") !== "off";
$("#single").addEventListener("change", () => stored("single-keys", $("#single").checked ? "on" : "off"));
