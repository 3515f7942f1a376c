"use strict";
// The tree as report/page_tree.py packs it: parallel arrays in preorder, names in one table.
const SURE = ["exact", "shared", "inferred", "unknown"];

function readTree(packed) {
  const all = [];
  let at = 0;
  function read(parent) {
    const number = at++;
    const node = { number, parent, name: packed.names[packed.name[number]], bytes: packed.bytes[number],
      type: packed.types[number], more: packed.more[number] || {}, kids: [] };
    all.push(node);
    for (let left = packed.kids[number]; left > 0; left--) node.kids.push(read(node));
    return node;
  }
  const root = read(null);
  return { root, all };
}

function fullName(node) { return node.type === "f" ? node.parent.name + node.name : node.name; }

// How sure we are of a node's bytes: its own figures, or else those of what is above it, by share.
function sureness(node) {
  if (node.more.sure) return node.more.sure;
  if (node.sure) return node.sure;
  if (node.kids.length && !"p".includes(node.type)) {
    node.sure = node.kids.map(sureness).reduce((sum, one) => sum.map((n, i) => n + one[i]), [0, 0, 0, 0]);
  } else if (node.type === "i") node.sure = [node.bytes, 0, 0, 0];
  else node.sure = null;
  return node.sure || [0, 0, 0, 0];
}

function size(count) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (Math.round(count) >= 1000 && unit < units.length - 1) { count /= 1000; unit++; }
  return count.toFixed(unit > 1 ? 1 : 0) + " " + units[unit];
}

function exactly(count) { return String(count).replace(/\B(?=(\d{3})+$)/g, ",") + " B"; }

function share(part, whole) { return whole ? (100 * part / whole).toFixed(1) + " %" : ""; }

// Squarified treemaps: Bruls, Huizing and van Wijk, Data Visualization 2000, section 3.
function squarify(nodes, x, y, width, height) {
  const total = nodes.reduce((sum, one) => sum + one.bytes, 0), placed = [];
  if (!total || width <= 0 || height <= 0) return placed;
  const scale = width * height / total;
  let row = [], area = 0;
  const worst = (side, sum, most, least) => Math.max(side * side * most / (sum * sum), sum * sum / (side * side * least));
  function lay() {
    const wide = width >= height, side = wide ? height : width, thick = area / side;
    let along = 0;
    for (const one of row) {
      const long = one.bytes * scale / thick;
      placed.push(wide ? { node: one, x, y: y + along, width: thick, height: long } : { node: one, x: x + along, y, width: long, height: thick });
      along += long;
    }
    if (wide) { x += thick; width -= thick; } else { y += thick; height -= thick; }
    row = []; area = 0;
  }
  for (const one of nodes) {
    const more = one.bytes * scale;
    if (!more) continue;
    const side = Math.min(width, height), areas = row.map((each) => each.bytes * scale);
    const most = Math.max(...areas), least = Math.min(...areas);
    if (row.length && worst(side, area, most, least) < worst(side, area + more, Math.max(most, more), Math.min(least, more))) lay();
    row.push(one); area += more;
  }
  if (row.length) lay();
  return placed;
}
