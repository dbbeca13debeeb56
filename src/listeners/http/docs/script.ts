/** What the page can do beside being read: filter, open all, copy a command, open what a link points to. */
import { html } from "./html.ts";

export const script = html`(() => {
  "use strict";
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const filter = document.getElementById("filter");
  const unfold = document.getElementById("unfold");
  const found = document.getElementById("found");
  const operations = all(".surface .op");

  if (document.documentElement.hasAttribute("data-here")) {
    const here = location.href.replace(/[/][^/]*$/, "");
    for (const base of all(".base")) base.textContent = here;
  }

  const narrow = () => {
    const words = filter.value.toLowerCase().split(" ").filter(Boolean);
    let shown = 0;
    for (const operation of operations) {
      operation.hidden = !words.every((word) => operation.dataset.text.includes(word));
      if (!operation.hidden) shown += 1;
      const link = document.querySelector("nav a[href='#" + operation.id + "']");
      link.parentElement.hidden = operation.hidden;
    }
    for (const surface of all(".surface")) surface.hidden = all(".op", surface).every((operation) => operation.hidden);
    found.textContent = words.length === 0 ? "" : shown + (shown === 1 ? " operation" : " operations");
  };
  filter.hidden = false;
  filter.addEventListener("input", narrow);
  addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target.tagName !== "INPUT") {
      event.preventDefault();
      filter.focus();
    }
    if (event.key === "Escape" && event.target === filter) {
      filter.value = "";
      narrow();
    }
  });

  unfold.hidden = false;
  unfold.addEventListener("click", () => {
    const open = unfold.textContent === "Open all";
    for (const operation of operations) operation.open = open;
    unfold.textContent = open ? "Close all" : "Open all";
  });

  const show = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target === null || target.tagName !== "DETAILS") return;
    if (target.hidden) {
      filter.value = "";
      narrow();
    }
    target.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", show);
  show();

  const copy = async (text) => {
    if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
    // Pages that did not come over TLS from elsewhere have no clipboard.
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    if (!done) throw new Error("refused");
  };
  for (const button of all(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = button.parentElement.querySelector("code").textContent;
      button.textContent = await copy(text).then(() => "Copied", () => "Not allowed");
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
})();
`;
