/* Carries a backfill on while its page is open. Without JavaScript there are buttons. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const pauseMs = 2000;
  const form = document.querySelector("[data-rqcron-continue]");
  const isWatched = document.querySelector("[data-rqcron-refresh]");
  if (form) setTimeout(() => form.requestSubmit(), pauseMs);
  else if (isWatched) setTimeout(() => location.reload(), pauseMs);
});
