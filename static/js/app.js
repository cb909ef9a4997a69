"use strict";
// Small comforts on top of pages that work without them: theme, confirmation, closing menus, keys for previous and next.

function setTheme(theme) {
  const root = document.documentElement;
  if (theme === "auto") root.removeAttribute("data-theme");
  else root.setAttribute("data-theme", theme);
  const age = theme === "auto" ? 0 : 31536000;
  document.cookie = `theme=${theme}; path=/; max-age=${age}; samesite=lax`;
  markTheme();
}

function markTheme() {
  const current = document.documentElement.getAttribute("data-theme") || "auto";
  for (const button of document.querySelectorAll("[data-set-theme]")) {
    button.setAttribute("aria-pressed", String(button.dataset.setTheme === current));
  }
}

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (menu !== except) menu.removeAttribute("open");
  }
}

function typing(target) {
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-set-theme]");
  if (button) setTheme(button.dataset.setTheme);
  closeMenus(event.target.closest("details.menu"));
  const toggle = event.target.closest("[data-check-all]");
  if (toggle) {
    for (const box of document.querySelectorAll(`input[name="${CSS.escape(toggle.dataset.checkAll)}"]`)) box.checked = toggle.checked;
  }
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm || (event.submitter && event.submitter.dataset.confirm);
  if (question && !window.confirm(question)) event.preventDefault();
}, true);

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeMenus(null);
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const link = document.querySelector(`a[data-key="${CSS.escape(event.key)}"]`);
  if (link) {
    event.preventDefault();
    link.click();
  }
});

// Selects that filter at once where scripts run; the form's own button does it where they do not.
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form && form.hasAttribute("data-submit-on-change") && event.target.tagName === "SELECT") form.requestSubmit();
});

for (const switcher of document.querySelectorAll(".theme-switch")) switcher.hidden = false;
markTheme();
