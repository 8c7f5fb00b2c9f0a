// Skeletons that move: a recorded sequence, and what the methods of two rows make of it.
const NOTHING = -128;

function player(set, sequence, label, turn) {
  const [element, context] = canvas(150, 170, label);
  const [up, sign] = set.up;
  const across = [0, 1, 2].filter((axis) => axis !== up);
  const sides = set.bones.map(([child]) => (set.left.includes(child) ? "--other" : set.right.includes(child) ? "--mark" : "--faint"));
  const place = (frame, joint, person) => {
    const at = ((frame * set.joints + joint) * set.persons + person) * 3;
    if (sequence[at] === NOTHING) return null;
    const [x, z, y] = [sequence[at + across[0]], sequence[at + across[1]], sign * sequence[at + up]];
    return [75 + 0.62 * (x * Math.cos(turn.angle) + z * Math.sin(turn.angle)), 85 - 0.62 * y];
  };
  const draw = (frame) => {
    context.clearRect(0, 0, 150, 170);
    context.lineWidth = 2;
    context.lineCap = "round";
    for (let person = 0; person < set.persons; person++) {
      context.globalAlpha = person ? 0.5 : 1;
      set.bones.forEach(([child, parent], number) => {
        const [from, to] = [place(frame, child, person), place(frame, parent, person)];
        if (!from || !to) return;
        context.strokeStyle = colour(sides[number]);
        context.beginPath();
        context.moveTo(...from);
        context.lineTo(...to);
        context.stroke();
      });
    }
  };
  element.addEventListener("pointerdown", (event) => element.setPointerCapture(event.pointerId));
  element.addEventListener("pointermove", (event) => {
    if (event.buttons) turn.angle += event.movementX / 60;
  });
  return [make("figure", { class: "player" }, element, make("figcaption", {}, label)), draw];
}

for (const [place, data] of widgets("motion")) {
  for (const set of Object.values(data.sets)) set.sequences = bytes(set.sequences);
  for (const views of Object.values(data.views)) views.sequences = bytes(views.sequences);
  const turn = { angle: 0 };
  const shown = make("div");
  const list = make("select", { "aria-label": "sequence" });
  const play = make("button", { type: "button", "aria-pressed": "true" }, "pause");
  let draws = [];
  let playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  let frame = 0;
  let rows = [];

  const part = (array, set, number) => {
    const size = set.frames * set.joints * set.persons * 3;
    return array.subarray(number * size, (number + 1) * size);
  };
  const viewed = (row, set, number) => {
    const views = data.views[row.views];
    if (!views || number >= views.count) return [make("p", {}, `${row.label}: no views are kept of this sequence.`)];
    const size = views.sequences.length / (views.names.length * views.count);
    const frames = size / (set.joints * set.persons * 3);
    const strip = make("div", { class: "strip" });
    views.names.forEach((name, branch) => {
      const at = (branch * views.count + number) * size;
      const [figure, draw] = player({ ...set, frames }, views.sequences.subarray(at, at + size), name, turn);
      strip.append(figure);
      draws.push((moment) => draw(Math.min(frames - 1, Math.floor((moment * frames) / set.frames))));
    });
    return [make("h3", {}, `${row.label}: right in ${row.hits[number]} % of seeds`), strip];
  };
  const show = () => {
    const number = Number(list.value);
    const set = data.sets[rows[0].set];
    draws = [];
    const [figure, draw] = player(set, part(set.sequences, set, number), "recorded", turn);
    draws.push(draw);
    const parts = rows[0] === rows[1] ? [rows[0]] : rows;
    shown.replaceChildren(make("div", { class: "strip" }, figure), ...parts.flatMap((row) => viewed(row, set, number)));
    frame = 0;
    for (const each of draws) each(0);
  };
  const [choices, draw] = pair(data.rows, (first, second) => {
    rows = [data.rows[first], data.rows[second]];
    if (rows[0].set !== rows[1].set) {
      list.replaceChildren();
      draws = [];
      shown.replaceChildren(make("p", {}, "These two rows are of different test sets."));
      return;
    }
    const set = data.sets[rows[0].set];
    const apart = (number) => Math.abs(rows[0].hits[number] - rows[1].hits[number]);
    const order = [...set.names.keys()].sort((one, other) => apart(other) - apart(one));
    const text = (number) => `${set.classes[number]} (${set.names[number]}): ${rows[0].hits[number]} % and ${rows[1].hits[number]} %`;
    list.replaceChildren(...order.map((number) => new Option(text(number), number)));
    show();
  });
  list.addEventListener("input", show);
  const pause = (now) => {
    playing = now;
    play.textContent = playing ? "pause" : "play";
    play.setAttribute("aria-pressed", String(playing));
  };
  play.addEventListener("click", () => pause(!playing));
  place.append(choices, make("p", {}, list, " ", play), shown);
  pause(playing);
  draw();
  setInterval(() => {
    if (!playing || !draws.length || place.closest(".gone")) return;
    frame = (frame + 1) % data.sets[rows[0].set].frames;
    for (const each of draws) each(frame);
  }, 100);
}
