// Asks this node for the state of the cluster every second while the page is seen, and shows it.

import { STEP_NAMES, TableMap, percent, rangeOf } from "./map.js";
import { NodesView, bytes, element } from "./nodes.js";

const PAUSE_MS = 1000, TABLES_MAX = 30, LINES_MAX = 100;
const at = (id) => document.getElementById(id);
const view = { state: null, chosen: null, isPaused: false, heardAt: 0, maps: new Map(), nodes: new NodesView(at("zones"), at("balance")) };
const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;
const titleOf = (table) => table.name || "(catalog)";

async function look() {
  try {
    const answer = await fetch("/ui/state", { cache: "no-store" });
    if (!answer.ok) throw new Error(`it answers ${answer.status}`);
    view.state = await answer.json();
    view.heardAt = Date.now();
    at("problem").hidden = true;
    render();
  } catch (problem) {
    at("problem").textContent = `The node that gave this page does not tell the state of the cluster (${problem.message}). What is shown is as of then.`;
    at("problem").hidden = false;
  }
}

async function run() {
  for (;;) {
    if (!document.hidden && !view.isPaused) await look();
    at("age").textContent = view.heardAt ? `as of ${new Date(view.heardAt).toLocaleTimeString("en-GB")}` : "";
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
}

function render() {
  const all = view.state.tables.flatMap((table) => table.partitions.map((partition) => ({ table, partition })));
  const names = new Map(view.state.nodes.map((node) => [node.id, node.name]));
  const chosen = all.find(({ partition }) => partition.id === view.chosen);
  summary(all);
  tables();
  details(chosen, (node) => names.get(node) ?? node);
  underWay(all, (node) => names.get(node) ?? node);
  view.nodes.show(view.state, chosen?.partition);
}

function summary(all) {
  const silent = view.state.nodes.filter((node) => node.problem !== null && node.state !== "left").length;
  const masterless = all.filter(({ partition }) => partition.master === null).length;
  at("summary").textContent = [
    `cluster ${view.state.cluster.slice(0, 8)}`,
    count(view.state.nodes.length, "node") + (silent ? ` (⚠ ${silent} silent)` : ""),
    count(view.state.tables.length - 1, "table"), count(all.length - 1, "partition"),
    ...(masterless ? [`⚠ ${masterless} without a master`] : []),
  ].join(" · ");
}

const loadOf = (table) => table.partitions.reduce((sum, one) => sum + one.load, 0);

function tables() {
  const wanted = at("filter").value.trim().toLowerCase();
  const found = view.state.tables.filter((table) => titleOf(table).toLowerCase().includes(wanted));
  // Many tables: the busiest are shown. Few: in the order of their names, so that nothing jumps.
  const shown = found.length > TABLES_MAX ? [...found].sort((a, b) => loadOf(b) - loadOf(a)).slice(0, TABLES_MAX) : found;
  for (const [name, one] of view.maps) {
    if (!shown.some((table) => table.name === name)) { one.root.remove(); view.maps.delete(name); }
  }
  shown.forEach((table, n) => {
    if (!view.maps.has(table.name)) view.maps.set(table.name, tableView(table));
    const one = view.maps.get(table.name);
    if (at("tables").children[n] !== one.root) at("tables").insertBefore(one.root, at("tables").children[n] ?? null);
    one.show(table);
  });
  at("more-tables").textContent = found.length > shown.length ? `The ${shown.length} busiest of ${found.length} tables are shown.` : "";
}

function tableView(table) {
  const map = new TableMap(titleOf(table), choose);
  map.chosen = () => view.chosen;
  const [facts, plan] = [element("span", { class: "quiet" }), element("p", { class: "plan" })];
  const root = element("div", { class: "table" }, element("h3", {}, titleOf(table), " ", facts), plan, map.root);
  return { root, show(now) {
    const [reads, writes, size] = ["readUnits", "writeUnits", "bytes"].map((key) => now.partitions.reduce((sum, one) => sum + (one[key] ?? 0), 0));
    const state = now.state === "ACTIVE" ? "" : `${now.state}, `;
    facts.textContent = `${state}${count(now.partitions.length, "partition")}, ${Math.round(reads)} read and ${Math.round(writes)} write units/s, ${bytes(size)}`;
    plan.textContent = now.plan ? `To have ${now.plan.wanted} partitions: ${count(now.plan.splits, "split")} to go in ${count(now.plan.generations, "generation")}` : "";
    plan.hidden = !now.plan;
    map.show(now.partitions, view.chosen);
  } };
}

function choose(partition) {
  view.chosen = partition;
  render();
}

function details(found, nameOf) {
  if (!found) return;
  const { table, partition: p } = found;
  const facts = {
    partition: `${p.id} of ${titleOf(table)}`, keys: rangeOf(p), load: `${percent(p.load)} of what one partition gives`,
    units: `${p.readUnits} read, ${p.writeUnits} write a second`, size: bytes(p.bytes),
    master: p.master === null ? "⚠ none" : nameOf(p.master),
    replicas: p.replicas.map((one) => `${nameOf(one.node)} ${one.role}${one.eligible ? "" : " (not eligible)"}`).join(", "),
  };
  if (p.split) facts.split = p.split.said;
  if (p.splitFrom) facts.split = `right half of partition ${p.splitFrom}, being brought level`;
  if (p.splitRefusal) facts["not split"] = p.splitRefusal;
  if (p.move) facts.moves = moveSaid(p.move, nameOf);
  const text = JSON.stringify(facts);
  if (at("chosen").dataset.text === text) return;
  at("chosen").dataset.text = text;
  at("chosen").replaceChildren(element("dl", {}, ...Object.entries(facts).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])));
}

function moveSaid(move, nameOf) {
  const said = [];
  if (move.joining.length) said.push(`to ${move.joining.map(nameOf).join(", ")}`);
  if (move.leaving.length) said.push(`away from ${move.leaving.map(nameOf).join(", ")}`);
  for (const one of move.behind) {
    const how = one.total ? `copy ${percent(one.sent / one.total)} of ${bytes(one.total)}` : { copy: "a copy begins", cold: "from the cold log", log: "from the log" }[one.way];
    said.push(`${nameOf(one.node)}: ${how ?? one.way}, ${one.lag} records behind`);
  }
  return said.join("; ");
}

function underWay(all, nameOf) {
  const lines = [];
  for (const { table, partition: p } of all) {
    if (p.split) lines.push(`÷ ${titleOf(table)}: ${p.split.said}`);
    if (p.move) lines.push(`→ ${titleOf(table)}: partition ${p.id} ${moveSaid(p.move, nameOf)}`);
  }
  for (const table of view.state.tables) {
    if (table.plan) lines.push(`÷ ${titleOf(table)}: ${count(table.plan.splits, "split")} more planned`);
  }
  const shown = lines.slice(0, LINES_MAX);
  if (lines.length > shown.length) shown.push(`and ${lines.length - shown.length} more`);
  const text = shown.join("\n") || "No split and no move.";
  if (at("under-way").dataset.text === text) return;
  at("under-way").dataset.text = text;
  at("under-way").replaceChildren(...text.split("\n").map((line) => element("li", {}, line)));
}

at("legend").append(...STEP_NAMES.map((name, step) => element("li", {}, element("span", { class: `swatch heat-${step}` }), name)));
at("legend").append(...["÷ split", "→ replicas move", "! no master"].map((text) => element("li", {}, text)));
at("filter").addEventListener("input", () => view.state && tables());
at("pause").addEventListener("click", () => {
  view.isPaused = !view.isPaused;
  at("pause").setAttribute("aria-pressed", String(view.isPaused));
  at("pause").textContent = view.isPaused ? "Go on" : "Pause";
});
run();
