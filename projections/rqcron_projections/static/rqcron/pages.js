/* What pages gain with JavaScript; each works without. Nothing here writes markup made of text. */
"use strict";

(() => {
  const two = (value) => String(value).padStart(2, "0");

  /* Times in the browser's zone, in the format that the server uses. */
  const zoneName = (date) => {
    const parts = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(date);
    return parts.find((part) => part.type === "timeZoneName").value;
  };
  const localText = (date, style) => {
    const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} `;
    const seconds = date.getSeconds() || style === "exact" ? `:${two(date.getSeconds())}` : "";
    const time = `${two(date.getHours())}:${two(date.getMinutes())}${seconds} ${zoneName(date)}`;
    return (style === "time" ? "" : day) + time;
  };
  const showLocalTimes = (root) => {
    for (const element of root.querySelectorAll("time.rqcron-time")) {
      element.textContent = localText(new Date(element.dateTime), element.dataset.style);
    }
  };

  /* Marks of slots are links: Enter opens the page of the slot. Arrow keys go from one to another,
     within its strip and, up and down, to the strip before or after. */
  const marksIn = (root) => [...root.querySelectorAll("[data-rqcron-mark]")];
  const stripOf = (mark) => mark.closest("ol, svg, tr");
  const nextMark = (here, key) => {
    const strip = stripOf(here);
    const marks = marksIn(strip);
    const place = marks.indexOf(here);
    if (key === "ArrowLeft") return marks[place - 1];
    if (key === "ArrowRight") return marks[place + 1];
    const strips = [...new Set(marksIn(document).map(stripOf))];
    const other = strips[strips.indexOf(strip) + (key === "ArrowUp" ? -1 : 1)];
    return other && marksIn(other).at(place - marks.length);
  };
  const newestMark = () => {
    const isDecided = (mark) => !mark.matches(".rqcron-pending") && !mark.querySelector(".rqcron-pending");
    const first = document.querySelector("[data-rqcron-mark]");
    return first && (marksIn(stripOf(first)).filter(isDecided).at(-1) || first);
  };
  const isTyping = (element) => element.matches("input, select, textarea, [contenteditable]");

  const showKeys = () => document.getElementById("rqcron-keys").showModal();
  const keyPressed = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    const mark = event.target.closest("[data-rqcron-mark]");
    let target = null;
    if (mark && event.key.startsWith("Arrow")) target = nextMark(mark, event.key);
    else if (event.key === "/") target = document.querySelector("[data-rqcron-search]");
    else if (event.key === "m") target = newestMark();
    else if (event.key === "?") showKeys();
    else document.querySelector(`[data-rqcron-key="${CSS.escape(event.key)}"]`)?.click();
    if (target) {
      event.preventDefault();
      target.focus();
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    showLocalTimes(document);
    for (const element of document.querySelectorAll(".rqcron-with-script")) element.hidden = false;
  });
  document.addEventListener("rqcron:added", (event) => showLocalTimes(event.target));
  document.addEventListener("keydown", keyPressed);
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-rqcron-help]")) showKeys();
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-rqcron-submit]")) event.target.form.requestSubmit();
  });
})();
