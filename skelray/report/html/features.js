// Places of test samples, a colour and a shape a class.
const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#888888"];

function dot(context, kind, x, y) {
  context.beginPath();
  if (kind % 3 === 0) context.arc(x, y, 3, 0, 7);
  else if (kind % 3 === 1) context.rect(x - 2.6, y - 2.6, 5.2, 5.2);
  else {
    context.moveTo(x, y - 3.4);
    context.lineTo(x + 3.4, y + 2.8);
    context.lineTo(x - 3.4, y + 2.8);
  }
  context.fill();
}

function cloud(row, names) {
  const [element, context] = canvas(340, 340, `t-SNE of ${row.label}`);
  const there = [...new Set(row.labels)].sort((one, other) => one - other);
  const look = new Map(there.map((label, at) => [label, [PALETTE[at % PALETTE.length], Math.floor(at / PALETTE.length)]]));
  row.labels.forEach((label, at) => {
    const [fill, kind] = look.get(label);
    context.fillStyle = fill;
    dot(context, kind, 10 + row.places[2 * at] * 0.32, 330 - row.places[2 * at + 1] * 0.32);
  });
  const legend = make("p", { class: "legend" });
  for (const label of there) {
    const [key, sign] = canvas(10, 10, "");
    sign.fillStyle = look.get(label)[0];
    dot(sign, look.get(label)[1], 5, 5);
    legend.append(make("span", {}, key, ` ${names[label]}`));
  }
  return make("div", {}, make("h3", {}, row.label), element, legend);
}

for (const [place, data] of widgets("features")) {
  const shown = make("div", { class: "pair" });
  const [choices, draw] = pair(data.rows, (...both) => {
    shown.replaceChildren(...both.map((number) => cloud(data.rows[number], data.names[data.rows[number].set])));
  });
  place.append(choices, shown);
  draw();
}
