/* "Copy" beside a text; without JavaScript there is a link to the plain text. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("[data-rqcron-copy]")) {
    const text = document.getElementById(button.dataset.rqcronCopy);
    const told = button.parentElement.querySelector("[data-rqcron-copied]");
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text.textContent);
        told.textContent = "Copied.";
      } catch {
        getSelection().selectAllChildren(text);
        told.textContent = "Selected: copy it with your keyboard.";
      }
    });
  }
});
