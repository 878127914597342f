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
  function number(cell, most, best) {
    const td = make("td", null, { class: "number metric" });
    if (!cell) { td.textContent = "–"; return td; }
    const [value, low, high, mark] = cell;
    td.append(make(mark ? "b" : "span", value.toFixed(4)));
    if (mark) td.append(make("span", mark === 2 ? " ★" : " ≈", { class: "mark", title: mark === 2 ? "best" : "not to be told from the best" }));
    if (low !== null) {
      td.title = `95 % interval ${low.toFixed(4)} to ${high.toFixed(4)}`;
      const bar = make("span", null, { class: "bar" }), range = make("i"), dot = make("u"), band = make("s");
      if (best && best[1] !== null) { band.style.left = `${100 * best[1] / most}%`; band.style.width = `${100 * (best[2] - best[1]) / most}%`; bar.append(band); }
      range.style.left = `${100 * low / most}%`; range.style.width = `${100 * (high - low) / most}%`;
      dot.style.left = `${100 * value / most}%`;
      bar.append(range, dot); td.append(bar);
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
    const most = table.columns.map((_, j) => Math.max(1e-9, ...rows.map(r => r[2][j] ? (r[2][j][2] ?? r[2][j][0]) : 0)));
    const best = table.columns.map((_, j) => table.same ? rows.map(r => r[2][j]).reduce((a, b) => b && (!a || b[0] > a[0]) ? b : a, null) : null);
    const t = make("table", null, { class: "comparison" }), head = make("tr"), body = make("tbody");
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
      tr.append(th, make("td", n.toLocaleString("en"), { class: "number" }), ...cells.map((c, j) => number(c, most[j], best[j])));
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
    said.textContent = (about[table.protocol] || "") + (table.same ? "" : " The models answered different queries: their rows cannot be compared.");
  }
  const slices = () => tables.filter(t => t.protocol === protocol.value).map(t => t.slice);
  fill(protocol, [...new Set(tables.map(t => t.protocol))]);
  fill(slice, slices());
  protocol.addEventListener("change", () => { fill(slice, slices()); draw(); });
  slice.addEventListener("change", draw);
  document.getElementById("switches").hidden = false;
  draw();
})();
