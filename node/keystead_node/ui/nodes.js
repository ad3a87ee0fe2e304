// The nodes, zone by zone: how much each masters, holds and does against the mean, and a square for each of its replicas.

import { percent, svg } from "./map.js";

const COLUMNS = 40, SIDE = 8, SQUARES_MAX = 800;
const PATHS = {
  master: (x, y) => `M${x} ${y}h7v7h-7z`,
  other: (x, y) => `M${x + 0.5} ${y + 0.5}h6v6h-6z`,
  partial: (x, y) => `M${x} ${y + 7}h7l-7-7z`,
  away: (x, y) => `M${x + 1} ${y + 1}l5 5m0-5l-5 5`,
};
const KINDS = { follower: "other", candidate: "other", learner: "partial", "log-only": "partial", silent: "away", absent: "away" };

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function bytes(count) {
  if (count === null) return "unknown";
  const step = Math.min(4, Math.max(0, Math.floor(Math.log2(count || 1) / 10)));
  return `${(count / 2 ** (10 * step)).toFixed(step ? 1 : 0)} ${["B", "KiB", "MiB", "GiB", "TiB"][step]}`;
}

class NodeCard {
  constructor() {
    this.parts = {};
    for (const name of ["name", "state", "held", "size"]) this.parts[name] = element("span", { class: name });
    this.bars = Object.fromEntries(["masters", "replicas", "load"].map((name) => [name, new Bar()]));
    this.strip = svg("svg", { class: "strip", role: "img" });
    this.paths = Object.fromEntries(Object.keys(PATHS).map((kind) => [kind, svg("path", { class: kind })]));
    this.strip.append(...Object.values(this.paths));
    const bars = element("div", { class: "bars" });
    for (const [name, bar] of Object.entries(this.bars)) bars.append(element("span", {}, name), bar.track, bar.text);
    this.root = element("article", { class: "node" },
      element("div", { class: "head" }, this.parts.name, this.parts.state),
      bars, this.strip, element("div", { class: "quiet" }, this.parts.size, " ", this.parts.held));
    this.drawn = "";
  }

  show(node, held, squares, means) {
    this.parts.name.textContent = node.name;
    const isWell = node.state === "active" && node.problem === null;
    this.parts.state.textContent = isWell ? "active" : `⚠ ${node.problem ? `silent: ${node.problem}` : node.state}`;
    this.parts.state.classList.toggle("bad", !isWell);
    this.parts.held.textContent = held;
    this.root.classList.toggle("holds", held !== "");
    this.parts.size.textContent = `${bytes(node.bytes)}, ${Math.round(node.readUnits)} read and ${Math.round(node.writeUnits)} write units/s`;
    this.bars.masters.show(node.masters, means.masters, String(node.masters));
    this.bars.replicas.show(node.replicas, means.replicas, String(node.replicas));
    this.bars.load.show(node.load, means.load, percent(node.load));
    this.draw(node, squares);
  }

  draw(node, squares) {
    const key = squares.join();
    if (key === this.drawn) return;
    this.drawn = key;
    const shown = squares.slice(0, SQUARES_MAX);
    const paths = Object.fromEntries(Object.keys(PATHS).map((kind) => [kind, ""]));
    shown.forEach((kind, n) => (paths[kind] += PATHS[kind]((n % COLUMNS) * SIDE, Math.floor(n / COLUMNS) * SIDE)));
    for (const [kind, path] of Object.entries(this.paths)) path.setAttribute("d", paths[kind]);
    this.strip.setAttribute("viewBox", `0 0 ${COLUMNS * SIDE} ${Math.max(1, Math.ceil(shown.length / COLUMNS)) * SIDE}`);
    const more = squares.length > shown.length ? `; the first ${shown.length} are drawn` : "";
    this.strip.setAttribute("aria-label", `${node.name} masters ${node.masters} of its ${node.replicas} replicas${more}`);
  }
}

class Bar {
  constructor() {
    this.part = element("div", { class: "part" });
    this.mean = element("div", { class: "mean" });
    this.track = element("div", { class: "track", "aria-hidden": "true" }, this.part, this.mean);
    this.text = element("span");
  }

  show(value, { mean, most }, text) {
    this.part.style.width = `${most ? (100 * value) / most : 0}%`;
    this.mean.style.left = `${most ? (100 * mean) / most : 0}%`;
    this.text.textContent = text;
  }
}

export class NodesView {
  constructor(root, balance) {
    [this.root, this.balance, this.cards, this.shape] = [root, balance, new Map(), ""];
  }

  show(state, chosen) {
    const shape = state.nodes.map((node) => `${node.zone}/${node.id}`).join();
    if (shape !== this.shape) this.build(state.nodes, shape);
    const squares = new Map(state.nodes.map((node) => [node.id, []]));
    for (const table of state.tables) {
      for (const partition of table.partitions) {
        for (const one of partition.replicas) {
          squares.get(one.node)?.push(one.node === partition.master ? "master" : KINDS[one.role] ?? "other");
        }
      }
    }
    const means = Object.fromEntries(["masters", "replicas", "load"].map((name) => [name, meanOf(state.nodes, name)]));
    const roles = new Map((chosen?.replicas ?? []).map((one) => [one.node, one.node === chosen.master ? "master" : one.role]));
    for (const node of state.nodes) {
      const role = roles.get(node.id);
      this.cards.get(node.id).show(node, role ? `${role} of partition ${chosen.id}` : "", squares.get(node.id), means);
    }
    this.balance.textContent = `The fullest against the mean: ${Object.entries(means)
      .map(([name, { mean, most }]) => `${name} ${mean ? (most / mean).toFixed(2) : "1.00"}`).join(", ")}`;
  }

  build(nodes, shape) {
    this.shape = shape;
    this.cards = new Map(nodes.map((node) => [node.id, this.cards.get(node.id) ?? new NodeCard()]));
    const zones = new Map();
    for (const node of nodes) zones.set(node.zone, [...(zones.get(node.zone) ?? []), this.cards.get(node.id).root]);
    this.root.replaceChildren(...[...zones].map(([zone, cards]) =>
      element("section", { class: "zone" }, element("h3", {}, `${zone || "no zone"} (${cards.length})`), ...cards)));
  }
}

function meanOf(nodes, name) {
  const values = nodes.filter((node) => node.state !== "left").map((node) => node[name]);
  return { mean: values.reduce((a, b) => a + b, 0) / (values.length || 1), most: Math.max(0, ...values) };
}
