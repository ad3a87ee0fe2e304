// The partitions of one table as cells in key order. A cell is as wide as its share of all keys, but never too narrow to
// be seen; rows go on like lines of text. Colour, the bar at its left edge and the number all say the same load.

const WIDTH = 1000, LEFT = 44, GAP = 4;
export const STEPS = [0.01, 0.1, 0.25, 0.5, 0.8, 1];
export const STEP_NAMES = ["idle", "under 10%", "under 25%", "under 50%", "under 80%", "up to 100%", "over 100%"];

export const heatOf = (load) => {
  const step = STEPS.findIndex((limit) => (limit === 1 ? load <= limit : load < limit));
  return step < 0 ? STEPS.length : step;
};
export const percent = (share) => (share > 0 && share < 0.01 ? "<1%" : `${Math.round(share * 100)}%`);
const digits = (key) => (key === "" ? "start" : key.slice(0, 4).padEnd(4, "0"));
export const rangeOf = (p) => `${digits(p.low)} to ${p.high === null ? "end" : digits(p.high)}`;

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// The place of every cell: [{x, y, width}], and the height of it all.
export function layout(partitions) {
  const many = partitions.length > 200;
  const narrowest = many ? 12 : 26, height = many ? 22 : 34;
  const rows = Math.max(1, Math.ceil((partitions.length * narrowest * 1.3 - narrowest * 12) / WIDTH));
  const shares = partitions.map((p) => Math.max(0, p.end - p.start));
  const whole = shares.reduce((a, b) => a + b, 0) || 1;
  const spare = Math.max(0, rows * WIDTH - partitions.length * narrowest);
  const places = [];
  let x = 0, y = 0;
  for (const share of shares) {
    const width = Math.min(WIDTH, narrowest + (spare * share) / whole);
    if (x > 0 && x + width > WIDTH + 0.5) [x, y] = [0, y + height + GAP];
    places.push({ x, y, width });
    x += width;
  }
  return { places, height, total: y + height };
}

export class TableMap {
  constructor(name, onChoose) {
    this.cells = new Map();
    this.order = [];
    this.shape = "";
    this.onChoose = onChoose;
    this.root = svg("svg", { class: "map", role: "listbox", tabindex: 0, "aria-label": `Partitions of ${name} in key order` });
    this.root.addEventListener("click", (event) => {
      const cell = event.target.closest(".cell");
      if (cell) onChoose(Number(cell.dataset.partition));
    });
    this.root.addEventListener("keydown", (event) => this.move(event));
  }

  show(partitions, chosen) {
    const shape = partitions.map((p) => `${p.id}:${p.low}`).join();
    if (shape !== this.shape) this.build(partitions, shape);
    this.root.removeAttribute("aria-activedescendant");
    partitions.forEach((p) => this.paint(this.cells.get(p.id), p, p.id === chosen));
  }

  build(partitions, shape) {
    const { places, height, total } = layout(partitions);
    this.shape = shape;
    this.order = partitions.map((p) => p.id);
    this.cells.clear();
    this.root.setAttribute("viewBox", `0 0 ${LEFT + WIDTH} ${total}`);
    const drawn = [];
    partitions.forEach((p, n) => {
      const { x, y, width } = places[n];
      if (x === 0) drawn.push(svg("text", { class: "row-name", x: 0, y: y + height / 2 + 4 }, digits(p.low)));
      const cell = svg("g", { id: `partition-${p.id}`, role: "option", transform: `translate(${LEFT + x} ${y})` });
      cell.dataset.partition = p.id;
      const parts = {
        body: svg("rect", { class: "body", width, height }), none: svg("rect", { class: "none", width, height }),
        bar: svg("rect", { class: "bar", x: 2, width: 3 }), cut: svg("path", { class: "cut" }),
        frame: svg("rect", { class: "frame", x: 1.5, y: 1.5, width: width - 3, height: height - 3 }),
        text: svg("text", { x: 8, y: height / 2 + 4 }), title: svg("title"),
      };
      cell.append(parts.title, parts.body, parts.none, parts.bar, parts.cut, parts.text, parts.frame);
      this.cells.set(p.id, { cell, parts, width, height, y, said: "" });
      drawn.push(cell);
    });
    this.root.replaceChildren(...drawn);
  }

  paint(found, p, isChosen) {
    const { cell, parts, width, height } = found;
    if (isChosen) this.root.setAttribute("aria-activedescendant", cell.id);
    const marks = `${p.master === null ? "!" : ""}${p.split || p.splitFrom ? "÷" : ""}${p.move ? "→" : ""}`;
    const said = `${sentence(p)}${isChosen}${p.split?.at}`;
    if (said === found.said) return;
    found.said = said;
    cell.setAttribute("class", `cell heat-${heatOf(p.load)}${p.master === null ? " no-master" : ""}${isChosen ? " chosen" : ""}`);
    cell.setAttribute("aria-selected", String(isChosen));
    cell.setAttribute("aria-label", sentence(p));
    parts.title.textContent = sentence(p);
    const tall = Math.min(1, p.load) * (height - 4);
    parts.bar.setAttribute("y", height - 2 - tall);
    parts.bar.setAttribute("height", tall);
    parts.text.textContent = width >= 60 ? `${percent(p.load)} ${marks}` : width >= 40 && !marks ? percent(p.load) : marks;
    const at = p.split && p.split.phase !== "settling" ? place(p) : null;
    parts.cut.setAttribute("d", at === null ? "" : `M${at * width} 0V${height}`);
  }

  move(event) {
    const { order, cells } = this;
    const now = order.indexOf(this.chosen?.());
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -order.length, End: order.length }[event.key] ?? this.byRow(event.key, now);
    if (!step || !cells.size) return;
    event.preventDefault();
    this.onChoose(order[now < 0 ? 0 : Math.min(order.length - 1, Math.max(0, now + step))]);
  }

  byRow(key, now) {
    if ((key !== "ArrowDown" && key !== "ArrowUp") || now < 0) return 0;
    const y = this.cells.get(this.order[now]).y;
    const inRow = this.order.filter((id) => this.cells.get(id).y === y).length;
    return key === "ArrowDown" ? inRow : -inRow;
  }
}

const place = (p) => (p.split.at === null || p.end <= p.start ? 0.5 : (p.split.at - p.start) / (p.end - p.start));

export function sentence(p) {
  const parts = [`Partition ${p.id}, keys ${rangeOf(p)}: load ${percent(p.load)}`];
  if (p.master === null) parts.push("no master");
  if (p.split) parts.push(p.split.said);
  if (p.splitFrom) parts.push(`split off partition ${p.splitFrom}, being brought level`);
  if (p.move) parts.push("replicas on the move");
  return parts.join("; ");
}
