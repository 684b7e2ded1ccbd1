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

  /* Arrow keys go from mark to mark; Enter opens its slot, as for any link. */
  const moveBetweenMarks = (event) => {
    const here = event.target.closest("[data-rqcron-mark]");
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!here || !step) return;
    const marks = [...document.querySelectorAll("[data-rqcron-mark]")];
    const next = marks[marks.indexOf(here) + step];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  };

  document.addEventListener("DOMContentLoaded", () => showLocalTimes(document));
  document.addEventListener("rqcron:added", (event) => showLocalTimes(event.target));
  document.addEventListener("keydown", moveBetweenMarks);
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-rqcron-submit]")) event.target.form.requestSubmit();
  });
})();
