"use strict";
// A notebook's page: show all code at once, open what a link points into, and show in the contents where the reader is. Everything can be read without this.
(() => {
  const fold = document.getElementById("fold"), how = document.querySelector("details.how");
  const code = [...document.querySelectorAll("details.code")], KEY = "recsys_nb: all code";
  // a browser may refuse to keep anything, for files most of all
  const kept = { get() { try { return localStorage.getItem(KEY); } catch { return null; } },
                 set(value) { try { localStorage.setItem(KEY, value); } catch { /* so be it */ } } };
  if (fold && code.length) {
    const at_first = new Map([...code, ...(how ? [how] : [])].map(d => [d, d.open]));
    let all = false;
    const show = now => {
      all = now;
      at_first.forEach((open, d) => { d.open = all || open; });
      fold.textContent = all ? "Fold the code" : "Show all code";
    };
    fold.hidden = false;
    fold.addEventListener("click", () => { show(!all); kept.set(all ? "yes" : "no"); });
    if (kept.get() === "yes") show(true);
  }
  function open_to(hash) {
    let target = null;
    try { target = document.getElementById(decodeURIComponent(hash.slice(1))); } catch { /* no such place */ }
    if (!target) return;
    const folds = [];
    for (let d = target.closest("details"); d; d = d.parentElement.closest("details")) if (!d.open) folds.push(d);
    if (!folds.length) return;
    folds.forEach(d => { d.open = true; });
    target.scrollIntoView();
  }
  addEventListener("hashchange", () => open_to(location.hash));
  addEventListener("click", e => { const a = e.target.closest && e.target.closest('a[href^="#"]'); if (a) open_to(a.hash); });
  open_to(location.hash);
  const contents = document.querySelector(".toc details");
  if (contents && innerWidth < 1180) contents.open = false;
  const links = new Map([...document.querySelectorAll(".toc a")].map(a => [decodeURIComponent(a.hash.slice(1)), a]));
  const heads = [...links.keys()].map(id => document.getElementById(id)).filter(Boolean);
  const shown = h => h.tagName === "DETAILS" || !h.closest("details.how:not([open])");
  let marked = null, waits = false;
  function mark() {
    waits = false;
    const now = heads.filter(h => shown(h) && h.getBoundingClientRect().top < 120).pop();
    const link = now ? links.get(now.id) : null;
    if (link === marked) return;
    if (marked) marked.removeAttribute("aria-current");
    if (link) {
      link.setAttribute("aria-current", "true");
      const list = link.closest("nav"), away = link.offsetTop - list.scrollTop;
      if (away < 40 || away > list.clientHeight - 60) list.scrollTop = link.offsetTop - list.clientHeight / 2;
    }
    marked = link;
  }
  if (heads.length) {
    addEventListener("scroll", () => { if (!waits) { waits = true; requestAnimationFrame(mark); } }, { passive: true });
    mark();
  }
})();
