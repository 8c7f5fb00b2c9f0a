"use strict";

// The theme: the reader's system decides until they choose.
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.dispatchEvent(new Event("theme"));
});

// Filters: whatever is of an arm, a protocol or a seed carries its number as data-a, data-p, data-s.
const filters = document.getElementById("filters");

function chosen() {
  const data = new FormData(filters);
  return {
    a: new Set(data.getAll("arm")),
    p: data.get("protocol"),
    s: data.get("seed"),
    words: data.get("words").trim().toLowerCase(),
  };
}

function filter() {
  const wanted = chosen();
  const boxes = filters.querySelectorAll("[name=arm]").length;
  document.getElementById("chosen").value = wanted.a.size === boxes ? "all" : `${wanted.a.size} of ${boxes}`;
  const fits = (data) =>
    (data.a === undefined || wanted.a.has(data.a)) &&
    (data.p === undefined || !wanted.p || data.p === wanted.p) &&
    (data.s === undefined || !wanted.s || data.s === wanted.s);
  for (const part of document.querySelectorAll("main [data-a], main [data-p], main [data-s]")) {
    const found = part.tagName !== "TR" || !wanted.words || part.textContent.toLowerCase().includes(wanted.words);
    part.classList.toggle("gone", !(fits(part.dataset) && found));
  }
  for (const part of document.querySelectorAll("[data-variant]")) {
    part.classList.toggle("gone", part.dataset.variant !== (wanted.s || "-1"));
  }
}

filters.addEventListener("input", filter);
filters.addEventListener("submit", (event) => event.preventDefault());
document.getElementById("all").addEventListener("click", () => {
  filters.reset();
  filter();
});

// Tables: a click on a head sorts by its column, numbers by their size; another click turns the order.
function key(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace("\u2212", "-"));
  return Number.isNaN(number) || !/^[-+\u2212]?[\d.]/.test(text) ? text.toLowerCase() : number;
}

function compare(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return one < other ? -1 : one > other ? 1 : 0;
}

function sortable(table) {
  for (const head of table.querySelectorAll("th")) {
    head.querySelector("button").addEventListener("click", () => {
      const first = head.classList.contains("number") ? "descending" : "ascending"; // of numbers the largest first
      const sorted = head.getAttribute("aria-sort");
      const ascending = (sorted ? sorted === "descending" : first === "ascending");
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].map((row) => [key(row, head.cellIndex), row]);
      rows.sort((one, other) => (ascending ? 1 : -1) * compare(one[0], other[0]));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  }
}

for (const table of document.querySelectorAll("table")) sortable(table);

filter();
