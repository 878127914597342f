"use strict";
// The comparison on the index: sort by a column, switch protocol and slice. Cells are made as text nodes: no name in the data becomes markup.
(() => {
  const copy = document.getElementById("copy");
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(document.getElementById("command").textContent); copy.textContent = "Copied"; }
      catch { copy.textContent = "Select and copy by hand"; }
      setTimeout(() => { copy.textContent = "Copy"; }, 2000);
    });
  }
  // The index of a study that is being run loads itself again, unless somebody has begun to use it.
  if (document.querySelector(".progress")) {
    let touched = false;
    for (const kind of ["click", "keydown"]) addEventListener(kind, () => { touched = true; });
    setInterval(() => { if (!touched && !document.hidden) location.reload(); }, 15000);
  }
  const source = document.getElementById("comparison-data"), place = document.getElementById("comparison-table");
  if (!source || !place) return;
  const { tables, colours, about } = JSON.parse(source.textContent);
  const protocol = document.getElementById("protocol"), slice = document.getElementById("slice");
  const said = document.getElementById("said");
  let sorted = { column: 2, down: true };

  const make = (tag, text, attributes = {}) => {
    const e = document.createElement(tag);
    if (text !== undefined && text !== null) e.textContent = text;
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    return e;
  };
  const key = (row, column) => column === 0 ? row[0].toLowerCase() : column === 1 ? row[1] : row[2][column - 2] ? row[2][column - 2][0] : -1;

  function fill(select, values) {
    const old = select.value;
    select.replaceChildren(...values.map(v => make("option", v, { value: v })));
    select.value = values.includes(old) ? old : values[0];
  }
  // Left and right end of a column's bars: the values that are at least half of the best, with their intervals.
  function scale(cells) {
    const known = cells.filter(Boolean), best = Math.max(0, ...known.map(c => c[0]));
    const near = known.filter(c => c[0] >= best / 2), ends = i => near.map(c => c[i] ?? c[0]);
    const left = Math.min(...ends(1)), right = Math.max(...ends(2));
    return { left, wide: Math.max(1e-9, right - left) };
  }
  function number(cell, { left, wide }, best) {
    const td = make("td", null, { class: "number metric" });
    if (!cell) { td.textContent = "–"; return td; }
    const [value, low, high, mark] = cell;
    td.append(make(mark ? "b" : "span", value.toFixed(4)));
    if (mark) td.append(make("span", mark === 2 ? " ★" : " ≈", { class: "mark", title: mark === 2 ? "best" : "not to be told from the best" }));
    if (low !== null) {
      td.title = `95 % interval ${low.toFixed(4)} to ${high.toFixed(4)}`;
      const bar = make("span", null, { class: "bar" }), range = make("i"), dot = make("u"), band = make("s");
      const place = (part, from, to) => { part.style.left = `${100 * (from - left) / wide}%`; part.style.width = `${100 * (to - from) / wide}%`; bar.append(part); };
      if (best && best[1] !== null) place(band, best[1], best[2]);
      if (value < left) bar.append(make("b", "‹"));
      else { place(range, Math.max(low, left), high); dot.style.left = `${100 * (value - left) / wide}%`; bar.append(dot); }
      td.append(bar);
      td.append(make("small", `${low.toFixed(4)} – ${high.toFixed(4)}`, { class: "range" }));
    }
    return td;
  }
  function draw() {
    const table = tables.find(t => t.protocol === protocol.value && t.slice === slice.value);
    const names = ["Model", "Queries", ...table.columns];
    if (sorted.column >= names.length) sorted = { column: 2, down: true };
    const rows = [...table.rows].sort((a, b) => {
      const x = key(a, sorted.column), y = key(b, sorted.column);
      return (x < y ? -1 : x > y ? 1 : 0) * (sorted.down ? -1 : 1) || (a[0] < b[0] ? -1 : 1);
    });
    const scales = table.columns.map((_, j) => scale(rows.map(r => r[2][j])));
    const best = table.columns.map((_, j) => table.same ? rows.map(r => r[2][j]).reduce((a, b) => b && (!a || b[0] > a[0]) ? b : a, null) : null);
    const alike = table.alike !== null; // then the number stands above the table
    const t = make("table", null, { class: alike ? "comparison alike" : "comparison" }), head = make("tr"), body = make("tbody");
    names.forEach((name, column) => {
      const direction = sorted.column === column ? (sorted.down ? "descending" : "ascending") : "none";
      const th = make("th", null, { scope: "col", "aria-sort": direction, class: column ? "number" : "" });
      const button = make("button", name, { type: "button" });
      button.addEventListener("click", () => {
        sorted = { column, down: sorted.column === column ? !sorted.down : column > 0 };
        draw();
        place.querySelectorAll("th button")[column].focus();
      });
      th.append(button); head.append(th);
    });
    for (const [model, n, cells] of rows) {
      const tr = make("tr"), th = make("th", null, { scope: "row" }), swatch = make("span", null, { class: "swatch" });
      swatch.style.background = colours[model];
      th.append(swatch, document.createTextNode(model));
      tr.append(th, make("td", n.toLocaleString("en"), { class: "number" }), ...cells.map((c, j) => number(c, scales[j], best[j])));
      body.append(tr);
    }
    for (const [model, why] of Object.entries(table.missing || {})) {
      const tr = make("tr"), th = make("th", null, { scope: "row" }), swatch = make("span", null, { class: "swatch" });
      swatch.style.background = colours[model];
      th.append(swatch, document.createTextNode(model));
      tr.append(th, make("td", "–", { class: "number" }), make("td", why, { colspan: table.columns.length, class: "missing" }));
      body.append(tr);
    }
    const top = make("thead"); top.append(head); t.append(top, body);
    place.replaceChildren(t);
    said.replaceChildren(make("b", `${table.protocol}, ${table.slice}.`), ` ${about[table.protocol] || ""}${alike ? ` ${table.alike.toLocaleString("en")} queries a model.` : ""}${table.same ? "" : " The models answered different queries: their rows cannot be compared."}`);
  }
  const slices = () => tables.filter(t => t.protocol === protocol.value).map(t => t.slice);
  fill(protocol, [...new Set(tables.map(t => t.protocol))]);
  fill(slice, slices());
  protocol.addEventListener("change", () => { fill(slice, slices()); draw(); });
  slice.addEventListener("change", draw);
  for (const id of ["switches", "bars-legend"]) document.getElementById(id).hidden = false;
  draw();
})();
