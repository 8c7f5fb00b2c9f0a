// What the widgets share. Whatever comes from data is set as text, never as markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function widgets(name) {
  return [...document.querySelectorAll(`[data-widget="${name}"]`)].map((place) => [
    place,
    JSON.parse(place.querySelector("script").textContent),
  ]);
}

// Two choices among rows, the second at first another one than the first, of the same set if there is one; change(one, other) hears the numbers.
function pair(rows, change) {
  const beside = rows.findIndex((row, number) => number > 0 && row.set === rows[0].set);
  const lists = ["first", "second"].map((name, at) => {
    const list = make("select", { "aria-label": `${name} row` });
    rows.forEach((row, number) => list.append(new Option(row.label, number)));
    list.value = String(Math.min(at && Math.max(beside, 1), rows.length - 1));
    return list;
  });
  const said = () => change(...lists.map((list) => Number(list.value)));
  for (const list of lists) list.addEventListener("input", said);
  document.addEventListener("theme", said);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", said);
  return [make("div", { class: "pair choices" }, ...lists), said];
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A canvas of so many units, sharp on any screen, and its context.
function canvas(width, height, label) {
  const scale = window.devicePixelRatio || 1;
  const element = make("canvas", { width: width * scale, height: height * scale, role: "img", "aria-label": label });
  element.style.width = `${width}px`;
  const context = element.getContext("2d");
  context.scale(scale, scale);
  return [element, context];
}

function bytes(text) {
  return Int8Array.from(atob(text), (sign) => sign.charCodeAt(0));
}
