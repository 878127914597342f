"use strict";
// A notebook's page: unfold all code at once, and show in the contents where the reader is. Everything can be read without this.
(() => {
  const fold = document.getElementById("fold"), code = [...document.querySelectorAll("details.code")];
  if (fold && code.length) {
    const at_first = code.map(d => d.open);
    let all = false;
    fold.hidden = false;
    fold.addEventListener("click", () => {
      all = !all;
      code.forEach((d, i) => { d.open = all || at_first[i]; });
      fold.textContent = all ? "Fold library code" : "Show all code";
    });
  }
  const contents = document.querySelector(".toc details");
  if (contents && innerWidth < 1180) contents.open = false;
  const links = new Map([...document.querySelectorAll(".toc a")].map(a => [decodeURIComponent(a.hash.slice(1)), a]));
  const heads = [...links.keys()].map(id => document.getElementById(id)).filter(Boolean);
  let marked = null, waits = false;
  function mark() {
    waits = false;
    const now = heads.filter(h => h.getBoundingClientRect().top < 120).pop();
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
