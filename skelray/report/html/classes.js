// Accuracy by class and confusion of two rows.
function matrix(row, count) {
  const counts = new Map();
  for (let at = 0; at < row.cells.length; at += 2) counts.set(row.cells[at], row.cells[at + 1]);
  return (truth, answer) => counts.get(truth * count + answer) || 0;
}

function square(row, names) {
  const count = names.length;
  const size = Math.max(2, Math.floor(320 / count));
  const [element, context] = canvas(size * count, size * count, `confusion of ${row.label}`);
  const at = matrix(row, count);
  context.fillStyle = colour("--back");
  context.fillRect(0, 0, size * count, size * count);
  for (let truth = 0; truth < count; truth++) {
    for (let answer = 0; answer < count; answer++) {
      const share = at(truth, answer) / Math.max(1, row.totals[truth]);
      if (!share) continue;
      context.globalAlpha = 0.15 + 0.85 * share;
      context.fillStyle = colour(truth === answer ? "--mark" : "--other");
      context.fillRect(answer * size, truth * size, size, size);
    }
  }
  context.globalAlpha = 1;
  const told = make("p", { class: "told" }, "\u00a0");
  element.addEventListener("pointermove", (event) => {
    const box = element.getBoundingClientRect();
    const [answer, truth] = [event.clientX - box.left, event.clientY - box.top].map((place, axis) =>
      Math.min(count - 1, Math.max(0, Math.floor((place / (axis ? box.height : box.width)) * count))),
    );
    told.textContent = `${names[truth]} taken for ${names[answer]}: ${at(truth, answer)} of ${row.totals[truth]}`;
  });
  return make("div", {}, make("h3", {}, row.label), element, told);
}

function byClass(one, other, names) {
  const [first, second] = [one, other].map((row) => matrix(row, names.length));
  const body = make("tbody");
  const lines = names
    .map((name, number) => [name, number])
    .filter(([, number]) => one.totals[number])
    .map(([name, number]) => {
      const shares = [first(number, number) / one.totals[number], second(number, number) / Math.max(1, other.totals[number])];
      return [name, number, ...shares.map((share) => 100 * share)];
    });
  lines.sort((a, b) => a[3] - a[2] - (b[3] - b[2]));
  for (const [name, number, a, b] of lines) {
    const bars = [a, b].map((value, at) => {
      const bar = make("div", { class: at ? "bar second" : "bar" });
      bar.style.width = `${value}%`;
      return bar;
    });
    const numbers = [one.totals[number], a.toFixed(1), b.toFixed(1), `${b >= a ? "+" : "\u2212"}${Math.abs(b - a).toFixed(1)}`];
    const cells = numbers.map((value) => make("td", { class: "number" }, String(value)));
    body.append(make("tr", {}, make("td", {}, name), ...cells, make("td", { class: "bars" }, ...bars)));
  }
  const heads = ["class", "samples", "first", "second", "second \u2212 first", "of 100"];
  const head = make("tr", {}, ...heads.map((text, at) => make("th", at && at < 5 ? { class: "number" } : {}, make("button", { type: "button" }, text))));
  const table = make("table", {}, make("thead", {}, head), body);
  sortable(table);
  const told = make("p", { class: "caption" }, "Right in percent, what the second row is worse at first.");
  return make("div", {}, told, make("div", { class: lines.length > 24 ? "wide tall" : "wide" }, table));
}

for (const [place, data] of widgets("classes")) {
  const shown = make("div");
  const [choices, draw] = pair(data.rows, (first, second) => {
    const [one, other] = [data.rows[first], data.rows[second]];
    if (one.set !== other.set) {
      shown.replaceChildren(make("p", {}, "These two rows are of different test sets."));
      return;
    }
    const names = data.names[one.set];
    shown.replaceChildren(
      make("div", { class: "pair" }, square(one, names), square(other, names)),
      byClass(one, other, names),
    );
  });
  place.append(choices, shown);
  draw();
}
