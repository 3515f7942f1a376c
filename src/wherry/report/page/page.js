(function () {
  const byId = (id) => document.getElementById(id);
  const { root, all } = readTree(JSON.parse(byId("tree").textContent));
  const tiles = byId("tiles"), crumbs = byId("crumbs"), detail = byId("detail"), search = byId("search"), hits = byId("hits");
  const LEAST = 90, PRESSED = 320, MOST = 500, FOUND = 40, HEAD = 20;
  const TYPES = { r: "all", o: "platform", l: "layer", i: "file", b: "program", m: "module", p: "package", f: "function", F: "function", k: "kind", s: "section", x: "" };
  const HUES = { own: 28, dep: 212, std: 268, none: 0, file: 172 };
  const DIFFERS = root.before !== null;
  const fold = byId("fold"), colour = byId("colour"), area = byId("area"), ruler = document.createElement("canvas").getContext("2d");
  let here = root, placed = [], chosen = -1, only = "", order = { key: "bytes", down: true };
  for (const one of document.querySelectorAll("[data-diff]")) if (!DIFFERS) one.remove();

  function make(tag, text, attributes) {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    for (const name in attributes) made.setAttribute(name, attributes[name]);
    return made;
  }
  function trail(node) { const up = []; for (let one = node; one; one = one.parent) up.unshift(one); return up; }
  function byChange() { return DIFFERS && area.value === "change" && moved(here) > 0; }
  function weigh(node) { return byChange() ? moved(node) : node.bytes; }
  function spread(name, range) {
    let sum = 7;
    for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 3600;
    return range * sum / 3600;
  }
  function hue(node) {
    if (colour.value === "change") return node.bytes >= node.before ? 12 : 150;
    const owner = ownerOf(node), named = (kind) => trail(node).find((one) => one.type === kind) || node;
    if (colour.value === "owner" && owner) return HUES[owner] + spread(named("m").name, 22) - 11;
    // Modules have colours of their own; inside of one, packages have.
    return spread(named(trail(here).some((one) => one.type === "m") ? "p" : "m").name, 360);
  }
  function grey(node) {
    if (colour.value === "change") return node.bytes === node.before;
    return node.type === "x" || node.name.startsWith("(") || (colour.value === "owner" && ["", "none"].includes(ownerOf(node)));
  }
  function leader(sure) {
    const sum = sure.reduce((a, b) => a + b, 0), most = sure.indexOf(Math.max(...sure));
    return sum && most ? SURE[most] : "";
  }
  function figure(node) { return byChange() ? signed(node.bytes - node.before) : size(node.bytes); }
  // A label says at least the last element of a path, or the name of a function, in whole; or there is none.
  function labelled(node, room) {
    const name = node.type === "f" ? node.name.replace(/^\./, "") : node.name, forms = [name];
    if (node.type === "m" || node.type === "p" || node.type === "i" || node.type === "b") {
      const parts = name.split("/").filter(Boolean);
      for (let from = 1; from < parts.length; from++) forms.push("…/" + parts.slice(from).join("/"));
      forms.push(parts[parts.length - 1]);
    } else if (node.type === "f" || node.type === "F") forms.push(name.slice(name.lastIndexOf(".") + 1));
    return forms.find((one) => one.length > 1 && ruler.measureText(one).width <= room) || "";
  }
  function paint(element, box, node, font) {
    element.style.left = box.x + "px"; element.style.top = box.y + "px";
    element.style.width = box.width + "px"; element.style.height = box.height + "px";
    element.style.setProperty("--h", hue(node));
    if (grey(node)) element.classList.add("grey");
    const hatch = leader(sureness(node));
    if (hatch) element.classList.add(hatch);
    if (box.width < 26 || box.height < 17) return;
    ruler.font = font;
    const name = labelled(node, box.width - 12);
    if (!name) return;
    const label = make("b", name), sized = " " + figure(node);
    if (ruler.measureText(name + sized).width <= box.width - 12) label.append(make("small", sized));
    element.append(label);
  }
  function words(node) {
    const sure = sureness(node), each = SURE.map((word, i) => sure[i] ? word + " " + exactly(sure[i]) : "").filter(Boolean);
    return [fullName(node), TYPES[node.type], size(node.bytes) + " (" + exactly(node.bytes) + ")",
      DIFFERS ? "before " + size(node.before) + ", " + signed(node.bytes - node.before) : "",
      node.parent ? share(node.bytes, node.parent.bytes) + " of " + node.parent.name : "", OWNERS[ownerOf(node)], each.join(", ")].filter(Boolean).join(" · ");
  }
  // Std is folded away wherever it is a part next to others; inside of it, it is shown.
  function isFolded(node) { return fold.checked && node.type === "m" && node.more.owner === "std"; }
  function shown(node) { return node.kids.filter((one) => weigh(one) > 0 && !isFolded(one)).sort((a, b) => weigh(b) - weigh(a) || a.number - b.number); }
  function groupAt(node, keep) {
    const kids = shown(node);
    if (keep < 1 || keep >= kids.length) return null;
    const rest = kids.slice(keep), sum = (of) => rest.reduce((all, one) => all + of(one), 0);
    return { number: -1, keep, parent: node, name: rest.length + " smaller", bytes: sum((one) => one.bytes),
      before: DIFFERS ? sum((one) => one.before) : null, type: "x", more: {}, kids: rest };
  }
  // What would be too small to see or to press is one tile; it opens like any other.
  function grouped(node, room, least) {
    const kids = shown(node), whole = kids.reduce((sum, one) => sum + weigh(one), 0);
    let keep = kids.findIndex((one, i) => i >= MOST || weigh(one) * room / whole < least);
    if (keep < 0 || kids.length - keep < 2) return kids;
    if (!keep) keep = Math.min(kids.length - 1, 200);
    return [...kids.slice(0, keep), groupAt(node, keep)];
  }
  function apart(node) { return only && !(only in owned(node)); }
  function drawTiles(focus) {
    const box = tiles.getBoundingClientRect(), family = getComputedStyle(document.body).fontFamily;
    const folded = here.kids.filter(isFolded);
    byId("folded").hidden = !folded.length;
    if (folded.length) byId("folded").textContent = "std is folded: " + size(folded[0].bytes) + " (" + share(folded[0].bytes, here.bytes) + "); open it";
    byId("folded").onclick = () => go(folded[0], null);
    placed = squarify(grouped(here, box.width * box.height, PRESSED), 0, 0, box.width, box.height, weigh);
    tiles.dataset.bytes = here.bytes;
    tiles.setAttribute("aria-label", "Inside " + here.name + ", " + size(here.bytes));
    tiles.replaceChildren(...placed.map((spot, index) => {
      const node = spot.node, tile = make("a", "", { href: address(node), class: "tile", tabindex: "-1", "aria-label": words(node), "data-bytes": node.bytes });
      tile.dataset.index = index; tile.title = words(node);
      if (!node.kids.length) tile.classList.add("leaf");
      if (apart(node)) tile.classList.add("other");
      if (node === focus) tile.classList.add("wanted");
      if (node.kids.length && spot.width > 60 && spot.height > 50) {
        const room = { x: 2, y: HEAD, width: spot.width - 6, height: spot.height - HEAD - 11 };
        for (const part of squarify(grouped(node, room.width * room.height, LEAST), room.x, room.y, room.width, room.height, weigh)) {
          if (part.width < 2 || part.height < 2) continue;
          const inner = make("span", "", { class: "inner" });
          if (apart(part.node)) inner.classList.add("other");
          paint(inner, part, part.node, "11px " + family); tile.append(inner);
        }
      }
      paint(tile, spot, node, "600 12px " + family);
      if (spot.width > 24 && spot.height > 30) tile.append(bar(node));
      return tile;
    }));
    const index = Math.max(0, placed.findIndex((one) => one.node === focus));
    if (tiles.children[index]) { tiles.children[index].tabIndex = 0; if (focus !== undefined) tiles.children[index].focus({ preventScroll: true }); }
  }
  function bar(node) {
    const strip = make("span", "", { class: "sure" });
    sureness(node).forEach((bytes, i) => { if (bytes) { const part = make("i", "", { class: SURE[i] }); part.style.flex = bytes + " 1 0"; strip.append(part); } });
    return strip;
  }
  function drawAbout() {
    const list = make("dl"), say = (term, ...lines) => { list.append(make("dt", term)); for (const line of lines) { const one = make("dd"); one.append(line); list.append(one); } };
    say(TYPES[here.type] || "group", fullName(here)); say("bytes", exactly(here.bytes));
    if (DIFFERS) say("before", exactly(here.before), signed(here.bytes - here.before));
    const own = all.filter((one) => one.more.owner === "own" && trail(one).includes(here) && one !== here);
    if (own.length) say("own code", ...own.map(linked));
    for (const [term, ...lines] of here.more.facts || []) say(term, ...lines);
    const sure = sureness(here);
    if (sure.some(Boolean)) say("how sure", ...SURE.map((word, i) => word + " " + exactly(sure[i]) + " " + share(sure[i], here.bytes)));
    byId("about").replaceChildren(list);
  }
  function linked(node) {
    const link = make("a", fullName(node), { href: address(node) });
    link.onclick = (event) => { if (!aside(event)) { event.preventDefault(); node.kids.length ? go(node, null) : go(node.parent, node); } };
    return link;
  }
  function aside(event) { return event.ctrlKey || event.metaKey || event.shiftKey || event.button > 0; }
  function drawOwners() {
    const sums = owned(here);
    byId("owners").replaceChildren(...Object.keys(OWNERS).filter((name) => name in sums).map((name) => {
      const button = make("button", "", { type: "button", "aria-pressed": String(only === name), "data-owner": name }), swatch = make("i", "", { class: name });
      swatch.style.setProperty("--h", HUES[name]);
      button.append(swatch, OWNERS[name] + " " + (DIFFERS ? signed(sums[name].bytes - sums[name].before) : size(sums[name].bytes)));
      button.onclick = () => { only = only === name ? "" : name; drawOwners(); drawTiles(); };
      return button;
    }));
  }
  const KEYS = { name: fullName, bytes: (one) => one.bytes, share: (one) => one.bytes, before: (one) => one.before, change: (one) => Math.abs(one.bytes - one.before) };
  function drawChildren(limit) {
    const table = byId("children"), body = table.tBodies[0], key = KEYS[order.key], sign = order.down ? -1 : 1;
    const kids = [...here.kids].sort((a, b) => sign * (key(a) > key(b) ? 1 : key(a) < key(b) ? -1 : 0) || b.bytes - a.bytes || a.number - b.number);
    const most = Math.max(...kids.map((one) => one.bytes));
    table.caption.textContent = kids.length ? kids.length + " in " + here.name : "";
    table.tHead.hidden = !kids.length;
    for (const one of table.tHead.rows[0].cells) marked(one, one.dataset.key === order.key ? order.down : null);
    body.replaceChildren(...kids.slice(0, limit).map((node) => {
      const row = make("tr", "", { "data-bytes": node.bytes }), name = make("td"), portion = make("td", share(node.bytes, here.bytes), { class: "n share" });
      name.append(linked(node));
      const bytes = make("td", size(node.bytes), { class: "n" }), change = node.bytes - node.before; bytes.title = exactly(node.bytes);
      portion.append(make("meter", "", { min: 0, max: most || 1, value: node.bytes, "aria-hidden": "true" }));
      row.append(name, bytes);
      if (DIFFERS) row.append(make("td", size(node.before), { class: "n" }), make("td", signed(change), { class: "n " + (change > 0 ? "up" : change < 0 ? "down" : "") }));
      row.append(portion);
      return row;
    }));
    if (kids.length > limit) {
      const row = make("tr"), cell = make("td", "", { colspan: 5 }), more = make("button", (kids.length - limit) + " more", { type: "button" });
      more.onclick = () => drawChildren(limit + 500);
      cell.append(more); row.append(cell); body.append(row);
    }
  }
  // A head that sorts is a button; its cell says how the table is sorted.
  function marked(cell, down) { if (down === null) cell.removeAttribute("aria-sort"); else cell.setAttribute("aria-sort", down ? "descending" : "ascending"); }
  function sortable(cell, press) {
    const button = make("button", cell.textContent, { type: "button" });
    if (!cell.textContent) return;
    button.onclick = press; cell.replaceChildren(button);
  }
  function sortRows(table, cell) {
    const body = table.tBodies[0], column = cell.cellIndex, down = cell.getAttribute("aria-sort") ? cell.getAttribute("aria-sort") === "ascending" : cell.classList.contains("n");
    const value = (row) => { const one = row.cells[column]; return one.dataset.v === undefined ? one.textContent : Number(one.dataset.v); };
    const before = (a, b) => (typeof a === typeof b ? (a > b) - (a < b) : typeof a === "number" ? 1 : -1);
    body.append(...[...body.rows].sort((a, b) => (down ? -1 : 1) * before(value(a), value(b))));
    for (const one of table.tHead.rows[0].cells) marked(one, one === cell ? down : null);
  }
  for (const cell of byId("children").tHead.rows[0].cells) sortable(cell, () => {
    order = { key: cell.dataset.key, down: order.key === cell.dataset.key ? !order.down : cell.dataset.key !== "name" };
    drawChildren(100);
  });
  for (const table of document.querySelectorAll("main table:not(#children)")) for (const cell of table.tHead.rows[0].cells) sortable(cell, () => sortRows(table, cell));
  // Where the page is, is in its address: Back and Forward work, and a place can be linked to.
  function go(node, focus, kept) {
    here = node;
    const seen = focus && !focus.kids.length ? focus : node;
    if (!kept && location.hash !== address(seen)) history.pushState(null, "", address(seen));
    crumbs.replaceChildren(...trail(node).map((one) => {
      const crumb = make("button", one.name, { type: "button", title: fullName(one) });
      if (one === node) crumb.setAttribute("aria-current", "page");
      crumb.onclick = () => go(one, null);
      return crumb;
    }));
    drawOwners(); drawTiles(focus); drawAbout(); drawChildren(100);
    detail.textContent = words(seen);
  }
  function follow() {
    const node = location.hash.startsWith("#in=") ? nodeAt(root, location.hash, groupAt) : start();
    if (node.kids.length || !node.parent) go(node, undefined, true); else go(node.parent, node, true);
  }
  addEventListener("popstate", follow);
  function enter(node) { if (node.kids.length) go(node, null); else go(here, node); }
  function leave() { if (here.parent) { const from = here; go(here.parent, from); } }
  function spotOf(element) { const tile = element.closest && element.closest(".tile"); return tile ? placed[tile.dataset.index] : null; }
  function move(from, dx, dy) {
    const cx = from.x + from.width / 2, cy = from.y + from.height / 2;
    let best = -1, least = Infinity;
    placed.forEach((to, i) => {
      const x = to.x + to.width / 2 - cx, y = to.y + to.height / 2 - cy, ahead = x * dx + y * dy;
      const edge = dx ? (dx > 0 ? to.x - from.x - from.width : from.x - to.x - to.width) : (dy > 0 ? to.y - from.y - from.height : from.y - to.y - to.height);
      if (to === from || edge < -0.5) return;
      const far = ahead + 2 * Math.abs(dx ? y : x);
      if (far < least) { least = far; best = i; }
    });
    if (best >= 0) focusTile(best);
  }
  function focusTile(index) {
    for (const one of tiles.children) one.tabIndex = -1;
    tiles.children[index].tabIndex = 0; tiles.children[index].focus({ preventScroll: true });
  }
  tiles.addEventListener("click", (event) => { const spot = spotOf(event.target); if (spot && !aside(event)) { event.preventDefault(); enter(spot.node); } });
  fold.addEventListener("change", () => go(here, undefined, true));
  for (const one of [colour, area]) one.addEventListener("change", () => drawTiles());
  for (const kind of ["mouseover", "focusin"]) tiles.addEventListener(kind, (event) => { const spot = spotOf(event.target); if (spot) detail.textContent = words(spot.node); });
  tiles.addEventListener("keydown", (event) => {
    const spot = spotOf(event.target), arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (spot && arrows[event.key]) { event.preventDefault(); move(spot, ...arrows[event.key]); }
    if (spot && event.key === "Home") { event.preventDefault(); focusTile(0); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input:not([type=checkbox]),select") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") { event.preventDefault(); search.focus(); search.select(); }
    if (event.key === "Escape" || event.key === "Backspace") { event.preventDefault(); leave(); }
  });
  function find() {
    const text = search.value.trim().toLowerCase();
    const found = text ? all.filter((one) => one.type !== "x" && one.type !== "k" && fullName(one).toLowerCase().includes(text)).sort((a, b) => b.bytes - a.bytes).slice(0, FOUND) : [];
    chosen = found.length ? 0 : -1;
    hits.hidden = !text; search.setAttribute("aria-expanded", String(!!text));
    hits.replaceChildren(...(found.length ? found.map((node, i) => {
      const hit = make("li", fullName(node), { role: "option", id: "hit" + i, "aria-selected": String(i === 0) });
      hit.append(make("small", TYPES[node.type] + " · " + size(node.bytes) + (node.parent ? " · in " + node.parent.name : "")));
      hit.onmousedown = (event) => { event.preventDefault(); take(node); };
      hit.node = node;
      return hit;
    }) : [make("li", "nothing has this in its name; functions that were too small for this page can't be found")]));
    pick();
  }
  function pick() {
    [...hits.children].forEach((hit, i) => hit.setAttribute("aria-selected", String(i === chosen)));
    if (chosen >= 0) { search.setAttribute("aria-activedescendant", "hit" + chosen); hits.children[chosen].scrollIntoView({ block: "nearest" }); } else search.removeAttribute("aria-activedescendant");
  }
  function take(node) { hits.hidden = true; search.setAttribute("aria-expanded", "false"); if (node.kids.length) go(node, null); else go(node.parent, node); detail.textContent = words(node); }
  search.addEventListener("input", find);
  search.addEventListener("blur", () => { hits.hidden = true; search.setAttribute("aria-expanded", "false"); });
  search.addEventListener("keydown", (event) => {
    const count = chosen < 0 ? 0 : hits.children.length;
    if (event.key === "Escape") { search.value = ""; find(); focusTile(0); event.preventDefault(); event.stopPropagation(); }
    if (event.key === "Enter" && count) { event.preventDefault(); take(hits.children[chosen].node); }
    if (count && (event.key === "ArrowDown" || event.key === "ArrowUp")) { event.preventDefault(); chosen = (chosen + (event.key === "ArrowDown" ? 1 : count - 1)) % count; pick(); }
  });
  const theme = byId("theme"), dark = matchMedia("(prefers-color-scheme: dark)");
  function isDark() { const set = document.documentElement.dataset.theme; return set ? set === "dark" : dark.matches; }
  function labelTheme() { theme.textContent = isDark() ? "Light" : "Dark"; theme.setAttribute("aria-pressed", String(isDark())); theme.setAttribute("aria-label", "Dark colours"); }
  theme.onclick = () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; labelTheme(); };
  dark.addEventListener("change", labelTheme);
  for (const one of document.querySelectorAll(".scripted")) one.hidden = false;
  // Where nearly all bytes are one part's, as in most images of a service, the map begins inside of it.
  function start() {
    for (let node = root; ; ) {
      const most = node.kids.reduce((a, b) => (a && a.bytes >= b.bytes ? a : b), null);
      if (node.type === "b" || !most || !most.kids.length || most.bytes * 10 < node.bytes * 9) return node;
      node = most;
    }
  }
  if (DIFFERS) { order = { key: "change", down: true }; colour.value = "change"; }
  labelTheme(); follow();
  let waiting = 0;
  addEventListener("resize", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(() => drawTiles()); });
})();
