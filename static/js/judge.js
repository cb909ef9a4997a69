"use strict";
// The judging page. The page works without this file; with it, keys work, drafts last, and no answer is lost on a bad line.
(() => {
  const DRAFT_PAUSE = 700; // ms of quiet before a draft is sent
  const RENEW_EVERY = 240000; // ms; well inside the lease of 20 minutes
  const IDLE_AFTER = 120000; // ms without a sign of life: looking time stops counting
  const WEEK = 604800000;

  const judging = document.getElementById("judging");
  const find = (selector) => judging.querySelector(selector);
  const answer = () => document.getElementById("answer");
  const userKey = `concord:${judging.dataset.user}:`;

  let sending = false;
  let inFlight = ""; // client id of the answer being sent
  let attempts = 0;
  let retryTimer = 0;
  let draftTimer = 0;
  let seconds = 0;
  let lastSign = Date.now();
  let seenVersion = ""; // of the guideline, told to the server; an answer may overtake that message
  let refill = null; // an unsaved answer of the pair on screen, put back after a reload

  // Storage may be full or forbidden; the page must go on without it.
  const store = {
    get(key) {
      try { return JSON.parse(localStorage.getItem(userKey + key)); } catch { return null; }
    },
    set(key, value) {
      try { localStorage.setItem(userKey + key, JSON.stringify(value)); } catch { /* the server's copy remains */ }
    },
    drop(key) {
      try { localStorage.removeItem(userKey + key); } catch { /* nothing to drop */ }
    },
    keys(prefix) {
      try { return Object.keys(localStorage).filter((key) => key.startsWith(userKey + prefix)).map((key) => key.slice(userKey.length)); } catch { return []; }
    },
  };

  function csrf() {
    const found = document.cookie.split("; ").find((part) => part.startsWith("csrftoken="));
    if (found) return found.slice("csrftoken=".length);
    const field = document.querySelector("input[name=csrfmiddlewaretoken]");
    return field ? field.value : "";
  }

  async function post(url, body, more) {
    return fetch(url, { method: "POST", body, headers: { "X-CSRFToken": csrf(), "HX-Request": "true" }, redirect: "manual", ...more });
  }

  // What the reader is told

  function say(text) {
    document.getElementById("announce").textContent = text;
  }

  function state(name, text) {
    const shown = document.getElementById("saved-state");
    shown.dataset.state = name;
    shown.textContent = text;
  }

  function error(text) {
    const shown = document.getElementById("answer-error");
    if (shown) shown.textContent = text;
  }

  // The form's values

  function chosen(name) {
    const field = answer() && answer().querySelector(`input[name=${name}]:checked`);
    return field ? field.value : "";
  }

  function values() {
    return { verdict: chosen("verdict"), reason: chosen("reason"), rationale: answer().elements.rationale.value };
  }

  function put(draft) {
    const form = answer();
    for (const name of ["verdict", "reason"]) {
      for (const field of form.querySelectorAll(`input[name=${name}]`)) field.checked = field.value === draft[name];
    }
    form.elements.rationale.value = draft.rationale || "";
  }

  // Drafts: kept here at once, sent to the server after a pause

  function clientId() {
    const task = document.getElementById("task");
    return task ? task.dataset.clientId || "" : "";
  }

  function draftChanged() {
    if (!answer() || sending) return;
    store.set(`draft:${clientId()}`, { ...values(), at: Date.now() });
    clearTimeout(draftTimer);
    draftTimer = setTimeout(sendDraft, DRAFT_PAUSE);
    state("draft", "Draft");
  }

  async function sendDraft(more) {
    clearTimeout(draftTimer);
    draftTimer = 0;
    const form = answer();
    if (!form || sending) return;
    const body = new URLSearchParams({ ...values(), at: Date.now(), ticket: form.elements.ticket.value });
    try {
      const response = await post(form.dataset.draftUrl, body, more);
      if (response.ok && (await response.json()).saved && !sending && answer() === form) state("draft", "Draft kept");
    } catch { /* the copy in this browser remains */ }
  }

  function restoreDraft() {
    const draft = store.get(`draft:${clientId()}`);
    if (draft && draft.at > Number(document.getElementById("task").dataset.draftAt || 0)) put(draft);
  }

  function forgetOldDrafts() {
    for (const key of store.keys("draft:")) {
      const draft = store.get(key);
      if (!draft || Date.now() - draft.at > WEEK) store.drop(key);
    }
  }

  // Sending: an answer counts as saved only when the server has said so

  function lock(on) {
    sending = on;
    const part = find(".answer-lock");
    if (part) part.inert = on;
  }

  function notSaved(why, wait) {
    state("unsaved", "Not saved yet");
    const box = document.getElementById("unsaved");
    if (!box) return;
    box.hidden = false;
    box.firstElementChild.textContent = why;
    say(`Not saved yet. ${why}`);
    clearTimeout(retryTimer);
    if (wait) retryTimer = setTimeout(retry, wait);
  }

  function retry() {
    clearTimeout(retryTimer);
    if (!answer() || !sending) return;
    sending = false;
    answer().requestSubmit();
  }

  function failed(xhr) {
    attempts += 1;
    const wait = Math.min(30000, 1000 * 2 ** Math.min(attempts, 5));
    if (xhr && xhr.status === 404) {
      lock(false);
      return notSaved("This pair is no longer open to you. Copy your text if you need it, then load the page again.", 0);
    }
    if (xhr && xhr.status >= 200 && xhr.status < 300) {
      return notSaved("You seem to be signed out. Sign in in another tab; your answer stays here.", wait);
    }
    return notSaved("Your answer is kept in this browser and sent again by itself.", wait);
  }

  document.addEventListener("htmx:configRequest", (event) => {
    // The token in the page may be older than the one in the cookie; the cookie's is always good.
    for (const name of Object.keys(event.detail.headers)) {
      if (name.toLowerCase() === "x-csrftoken") delete event.detail.headers[name];
    }
    event.detail.headers["X-CSRFToken"] = csrf();
    delete event.detail.parameters.csrfmiddlewaretoken;
    if (event.detail.elt !== answer()) return;
    event.detail.parameters.seconds = Math.round(seconds * 10) / 10;
    const sent = { url: event.detail.path, fields: {}, at: Date.now() };
    for (const name of ["verdict", "reason", "rationale", "ticket", "client_id", "seconds"]) {
      const value = event.detail.parameters[name];
      if (value !== undefined && value !== null) sent.fields[name] = String(value);
    }
    inFlight = clientId();
    store.set(`unsent:${inFlight}`, sent);
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt === answer()) {
      clearTimeout(draftTimer);
      draftTimer = 0;
      lock(true);
      state("saving", "Saving…");
    }
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    // A sign-in page, reached by redirect, is not an answer.
    if (event.detail.target.id === "task" && !event.detail.xhr.getResponseHeader("X-Concord-Task")) event.detail.shouldSwap = false;
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr } = event.detail;
    const elt = event.detail.requestConfig.elt; // the event itself comes from an ancestor once the form is swapped out
    if (elt.id !== "answer") {
      if (["undo", "skip"].includes(elt.id) && !(xhr && xhr.getResponseHeader("X-Concord-Task"))) state("unsaved", "No connection: try again");
      return;
    }
    const done = xhr && xhr.status === 200 && xhr.getResponseHeader("X-Concord-Task");
    if (!done) return void failed(xhr);
    attempts = 0;
    sending = false;
    store.drop(`unsent:${inFlight}`);
    if (done !== "again") store.drop(`draft:${inFlight}`);
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id === "task") arrived();
  });

  async function sendLeftovers() {
    for (const key of store.keys("unsent:")) {
      const sent = store.get(key);
      if (!sent || Date.now() - sent.at > WEEK) {
        store.drop(key);
        continue;
      }
      if (sent.fields.client_id === clientId() && answer()) {
        refill = sent.fields;
        continue;
      }
      try {
        const response = await post(sent.url, new URLSearchParams(sent.fields));
        if (response.ok && response.headers.get("X-Concord-Task")) {
          store.drop(key);
          store.drop(`draft:${sent.fields.client_id}`);
          state("saved", "Earlier answer saved");
          say("An answer that could not be saved before is saved now.");
        } else if (response.status === 404) store.drop(key);
      } catch { /* still no line: it stays for the next time */ }
    }
    if (refill && answer()) {
      put(refill);
      refill = null;
      answer().requestSubmit();
    }
  }

  // A new pair on screen

  function arrived() {
    const task = document.getElementById("task");
    lock(false);
    seconds = 0;
    judging.dataset.side = "left";
    prepare();
    if (answer()) restoreDraft();
    const said = task.dataset.said;
    if (said) {
      const stored = ["saved", "repeated", "extra"].includes(task.dataset.state);
      state(stored ? "saved" : "idle", stored ? "Saved" : "");
      say(`${said} ${answer() ? (task.dataset.state === "undone" ? "" : "Next pair.") : "No more pairs right now."}`);
    } else if (find(".answer-error")?.textContent.trim()) {
      state("unsaved", "Not saved");
    }
    window.scrollTo(0, 0);
    const title = document.getElementById("task-title");
    if (title) title.focus({ preventScroll: true });
    openUnseen();
  }

  function prepare() {
    for (const hidden of document.querySelectorAll("[data-help], .view-toggle, .side-switch")) hidden.hidden = false;
    for (const block of judging.querySelectorAll(".rendered pre, .prompt pre")) {
      if (block.querySelector(".copy")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.textContent = "Copy";
      block.append(button);
    }
    fold();
    applyView();
    showSide("left");
    localTimes();
  }

  // The last turn is folded when it is long; earlier turns come folded from the server unless they are short.
  function fold() {
    const button = find("[data-unfold]");
    const last = find(".chat-last");
    if (!button) return;
    const limit = 16 * parseFloat(getComputedStyle(document.documentElement).fontSize);
    const long = Boolean(last) && last.scrollHeight > limit;
    if (long) last.classList.add("is-folded");
    button.hidden = !long && !find(".chat-fold:not([open])");
  }

  function toggleFold(button) {
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    button.firstElementChild.textContent = open ? "Fold the prompt" : "Show the whole prompt";
    for (const turns of judging.querySelectorAll(".chat-fold")) turns.open = open;
    const last = find(".chat-last");
    if (last) last.classList.remove("is-folded");
    if (!open) fold();
  }

  function localTimes() {
    for (const time of judging.querySelectorAll("[data-local-time]")) {
      time.textContent = new Date(time.dateTime).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    }
  }

  // View choices, kept in this browser

  function applyView() {
    const view = store.get("view") || {};
    for (const toggle of document.querySelectorAll("[data-toggle]")) {
      const on = Boolean(view[toggle.dataset.toggle]);
      judging.classList.toggle(`view-${toggle.dataset.toggle}`, on);
      toggle.setAttribute("role", "button");
      toggle.setAttribute("aria-pressed", String(on));
    }
    for (const body of judging.querySelectorAll(".side-body")) {
      if (view.apart) body.tabIndex = 0;
      else body.removeAttribute("tabindex");
    }
  }

  function toggleView(name) {
    const view = store.get("view") || {};
    view[name] = !judging.classList.contains(`view-${name}`);
    store.set("view", view);
    applyView();
  }

  function showSide(side) {
    judging.dataset.side = side;
    for (const button of judging.querySelectorAll("[data-side]")) button.setAttribute("aria-pressed", String(button.dataset.side === side));
  }

  async function copy(button) {
    const text = [...button.parentElement.childNodes].filter((node) => node !== button).map((node) => node.textContent).join("");
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Press Ctrl+C";
      const range = document.createRange();
      range.selectNodeContents(button.parentElement.querySelector("code") || button.parentElement);
      window.getSelection().removeAllRanges();
      window.getSelection().addRange(range);
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  }

  // Guideline drawer

  const drawer = () => document.getElementById("guideline");

  function openDrawer() {
    drawer().hidden = false;
    drawer().focus({ preventScroll: true });
  }

  function closeDrawer() {
    if (drawer().hidden) return;
    drawer().hidden = true;
    const form = drawer().querySelector("[data-seen]");
    if (drawer().hasAttribute("data-unseen")) {
      drawer().removeAttribute("data-unseen");
      drawer().querySelector(".drawer-new")?.remove();
      seenVersion = form.elements.version.value;
      const body = new URLSearchParams({ version: seenVersion, quiet: "1" });
      post(form.action, body, { keepalive: true }).catch(() => {});
    }
    document.getElementById("task-title")?.focus({ preventScroll: true });
  }

  function openUnseen() {
    if (!answer() || !drawer()?.hasAttribute("data-unseen")) return;
    if (drawer().querySelector("[data-seen]").elements.version.value === seenVersion) drawer().removeAttribute("data-unseen");
    else openDrawer();
  }

  // Clicks

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-toggle], [data-open-drawer], [data-close-drawer], [data-help], [data-unfold], [data-side], [data-retry], .copy");
    if (!target || target === judging) return;
    const does = target.dataset;
    if (does.toggle) { event.preventDefault(); toggleView(does.toggle); }
    else if ("openDrawer" in does) { event.preventDefault(); if (drawer().hidden) openDrawer(); else closeDrawer(); }
    else if ("closeDrawer" in does) closeDrawer();
    else if ("help" in does) document.getElementById("help").showModal();
    else if ("unfold" in does) toggleFold(target);
    else if ("retry" in does) retry();
    else if (target.classList.contains("copy")) copy(target);
    else if (does.side) showSide(does.side);
  });

  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-seen]")) {
      event.preventDefault();
      closeDrawer();
    }
  });

  // Keys: each clicks the control that shows it

  function typing(element) {
    return element.isContentEditable || element.tagName === "TEXTAREA" || element.tagName === "SELECT" || (element.tagName === "INPUT" && element.type !== "radio");
  }

  function nextReason() {
    const fields = [...answer().querySelectorAll("input[name=reason]")];
    const now = fields.findIndex((field) => field.checked);
    fields[(now + 1) % fields.length].checked = true;
    draftChanged();
  }

  function leaveField(event) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    const box = event.target.closest(".skip");
    if (box) box.open = false;
    event.target.blur();
    document.getElementById("task-title")?.focus({ preventScroll: true });
  }

  function press(key) {
    const control = [...document.querySelectorAll("[data-hotkey]")].find((element) => element.dataset.hotkey === key && !element.hidden);
    if (!control) return false;
    if (key === "c" && control.checked) nextReason();
    else control.click();
    if (key === "s" && document.getElementById("skip-box").open) document.querySelector("input[name=skip_reason]").focus();
    return true;
  }

  function escape() {
    const box = document.getElementById("skip-box");
    if (box) box.open = false;
    closeDrawer();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.defaultPrevented) return;
    if (document.getElementById("help").open) {
      if (event.key === "?") { event.preventDefault(); document.getElementById("help").close(); }
      return;
    }
    if (typing(event.target)) return void leaveField(event);
    if (event.repeat) {
      if (event.key === "Enter") event.preventDefault(); // a key held down must not answer pair after pair
      return;
    }
    if (event.key === "Escape") return void escape();
    if (event.key === "Enter") {
      if (event.target.closest("button, a, summary") || !answer()) return;
      event.preventDefault();
      if (!drawer().hidden && drawer().hasAttribute("data-unseen")) return void closeDrawer(); // read first, answer then
      if (!sending) answer().requestSubmit();
    } else if (sending && event.key !== "?" && event.key !== "m" && event.key !== "g") {
      return;
    } else if (event.key === "r" && answer()) {
      event.preventDefault();
      answer().elements.rationale.focus();
    } else if (press(event.key)) event.preventDefault();
  });

  // Nothing chosen: say so in words instead of the browser's bubble.
  document.addEventListener("invalid", (event) => {
    if (event.target.name !== "verdict") return;
    event.preventDefault();
    error("Choose an answer first: 1 to 7, x or c.");
  }, true);

  document.addEventListener("input", (event) => {
    if (event.target.form !== answer() || !answer()) return;
    if (event.target.name === "verdict") error("");
    draftChanged();
  });

  // Time spent looking, and the lease

  for (const sign of ["keydown", "pointerdown", "pointermove", "scroll", "wheel"]) {
    document.addEventListener(sign, () => { lastSign = Date.now(); }, { passive: true, capture: true });
  }
  setInterval(() => {
    if (document.visibilityState === "visible" && Date.now() - lastSign < IDLE_AFTER) seconds += 0.5;
  }, 500);
  setInterval(async () => {
    const form = answer();
    if (!form || sending || document.visibilityState !== "visible" || Date.now() - lastSign > RENEW_EVERY) return;
    try {
      const response = await post(form.dataset.renewUrl, new URLSearchParams({ ticket: form.elements.ticket.value }));
      if (response.ok && !(await response.json()).held) state("draft", "Time ran out; your answer still counts");
    } catch { /* the next round tries again */ }
  }, RENEW_EVERY);

  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden" && draftTimer) sendDraft({ keepalive: true });
  });
  window.addEventListener("pagehide", () => { if (draftTimer) sendDraft({ keepalive: true }); });
  window.addEventListener("online", () => { if (sending) retry(); else sendLeftovers(); });
  window.addEventListener("focus", () => { if (sending && attempts) retry(); });

  // htmx takes the forms over at this event, too, and its listener was there first.
  document.addEventListener("DOMContentLoaded", () => {
    forgetOldDrafts();
    if (judging.classList.contains("view-raw")) store.set("view", { ...(store.get("view") || {}), raw: true });
    prepare();
    if (answer()) restoreDraft();
    openUnseen();
    sendLeftovers();
  });
})();
