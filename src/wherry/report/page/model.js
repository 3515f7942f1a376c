"use strict";
// The tree as report/page_tree.py packs it: parallel arrays in preorder, names in one table.
const SURE = ["exact", "shared", "inferred", "unknown"];

function readTree(packed) {
  const all = [];
  let at = 0;
  function read(parent) {
    const number = at++;
    const node = { number, parent, name: packed.names[packed.name[number]], bytes: packed.bytes[number],
      before: packed.before ? packed.before[number] : null, type: packed.types[number], more: packed.more[number] || {}, kids: [] };
    all.push(node);
    for (let left = packed.kids[number]; left > 0; left--) node.kids.push(read(node));
    return node;
  }
  const root = read(null);
  return { root, all };
}

function fullName(node) { return node.type === "f" ? node.parent.name + node.name : node.name; }

// Owners of bytes, in the order of the page's legend.
const OWNERS = { own: "own code", dep: "dependencies", std: "standard library", none: "tables, debug data, shared", file: "other files" };

// The owner of a node: its module's; without a module it is of no package, or a file of a layer. What has parts of several has none.
function ownerOf(node) {
  let kind = "";
  for (let one = node; one; one = one.parent) {
    if (one.more.owner) return one.more.owner;
    if (one.type === "i" || (one.type === "x" && one.parent && one.parent.type === "l")) kind = "file";
    else if (one.type === "p" || one.type === "s" || (one.type === "x" && one.keep === undefined)) kind = kind || "none";
  }
  return kind;
}

// Bytes of each owner below a node, and before, for pages that compare.
function owned(node) {
  const sums = {};
  (function add(one) {
    const owner = ownerOf(one);
    if (owner || !one.kids.length) {
      const sum = sums[owner || "none"] = sums[owner || "none"] || { bytes: 0, before: 0 };
      sum.bytes += one.bytes; sum.before += one.before || 0;
    } else one.kids.forEach(add);
  })(node);
  return sums;
}

// How much of a node differs: growth here does not hide shrinkage there.
function moved(node) {
  if (node.moved === undefined) node.moved = node.kids.length ? node.kids.reduce((sum, one) => sum + moved(one), 0) : Math.abs(node.bytes - node.before);
  return node.moved;
}

function signed(count) { return (count > 0 ? "+" : count < 0 ? "-" : "") + size(Math.abs(count)); }

// A node's address: its name and those above it, below the root. Of siblings with one name, the later ones have a number.
function segment(node) {
  if (node.keep !== undefined) return "+" + node.keep;
  const same = node.parent.kids.filter((one) => fullName(one) === fullName(node)), number = same.indexOf(node);
  return encodeURIComponent(fullName(node)).replace(/%2F/g, "/") + (number > 0 ? "+" + number : "");
}
function address(node) {
  const parts = [];
  for (let one = node; one.parent; one = one.parent) parts.unshift(segment(one));
  return "#in=" + parts.join(",");
}
function nodeAt(root, hash, group) {
  let node = root;
  const path = hash.startsWith("#in=") ? hash.slice(4) : "";
  for (const part of path.split(",").filter(Boolean)) {
    const found = part.startsWith("+") ? group(node, Number(part.slice(1))) : node.kids.find((one) => segment(one) === part);
    if (!found) break;
    node = found;
  }
  return node;
}

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
function squarify(nodes, x, y, width, height, weigh) {
  const total = nodes.reduce((sum, one) => sum + weigh(one), 0), placed = [];
  if (!total || width <= 0 || height <= 0) return placed;
  const scale = width * height / total;
  let row = [], area = 0;
  const worst = (side, sum, most, least) => Math.max(side * side * most / (sum * sum), sum * sum / (side * side * least));
  function lay() {
    const wide = width >= height, side = wide ? height : width, thick = area / side;
    let along = 0;
    for (const one of row) {
      const long = weigh(one) * scale / thick;
      placed.push(wide ? { node: one, x, y: y + along, width: thick, height: long } : { node: one, x: x + along, y, width: long, height: thick });
      along += long;
    }
    if (wide) { x += thick; width -= thick; } else { y += thick; height -= thick; }
    row = []; area = 0;
  }
  for (const one of nodes) {
    const more = weigh(one) * scale;
    if (!more) continue;
    const side = Math.min(width, height), areas = row.map((each) => weigh(each) * scale);
    const most = Math.max(...areas), least = Math.min(...areas);
    if (row.length && worst(side, area, most, least) < worst(side, area + more, Math.max(most, more), Math.min(least, more))) lay();
    row.push(one); area += more;
  }
  if (row.length) lay();
  return placed;
}
