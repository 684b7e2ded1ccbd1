/* The live tail of the log. Without JavaScript the page reloads itself. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const region = document.querySelector("[data-rqcron-tail]");
  if (!region) return;
  const body = region.querySelector("tbody");
  const told = document.querySelector("[data-rqcron-told]");
  const pauseMs = 2000;
  const rowsMax = 1000;
  let position = region.dataset.rqcronPosition;
  let added = 0;

  const look = async () => {
    try {
      const url = new URL(region.dataset.rqcronTail, location.href);
      url.searchParams.set("after", position);
      const response = await fetch(url, { credentials: "same-origin", redirect: "error" });
      const answer = await response.json();
      if (!response.ok) {
        told.textContent = answer.problem;
        return;
      }
      position = answer.position;
      const rows = document.createElement("template");
      rows.innerHTML = answer.rows; /* the server escaped what is in it */
      const count = rows.content.querySelectorAll("tr").length;
      if (count) {
        added += count;
        body.prepend(rows.content);
        body.dispatchEvent(new CustomEvent("rqcron:added", { bubbles: true }));
        while (body.rows.length > rowsMax) body.deleteRow(-1);
        told.textContent = `${added} new since this page was opened.`;
      }
    } catch {
      told.textContent = "The server does not answer; trying again.";
    }
    setTimeout(look, pauseMs);
  };
  setTimeout(look, pauseMs);
});
