(function () {
  const byId = (id) => document.getElementById(id);
  const { root, all } = readTree(JSON.parse(byId("tree").textContent));
  const tiles = byId("tiles"), crumbs = byId("crumbs"), detail = byId("detail"), search = byId("search"), hits = byId("hits");
  const LEAST = 90, PRESSED = 320, MOST = 500, FOUND = 40, HEAD = 20;
  const TYPES = { r: "all", o: "platform", l: "layer", i: "file", b: "program", m: "module", p: "package", f: "function", F: "function", k: "kind", s: "section", x: "" };
  let here = root, placed = [], chosen = -1;

  function make(tag, text, attributes) {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    for (const name in attributes) made.setAttribute(name, attributes[name]);
    return made;
  }
  function trail(node) { const up = []; for (let one = node; one; one = one.parent) up.unshift(one); return up; }
  function hue(node) {
    // Modules have colours of their own; inside of one, packages have.
    const inside = trail(here).some((one) => one.type === "m");
    const named = trail(node).find((one) => one.type === (inside ? "p" : "m")) || node;
    let sum = 7;
    for (const letter of named.name) sum = (sum * 31 + letter.codePointAt(0)) % 3600;
    return sum / 10;
  }
  function grey(node) { return node.type === "x" || node.name.startsWith("("); }
  function leader(sure) {
    const sum = sure.reduce((a, b) => a + b, 0), most = sure.indexOf(Math.max(...sure));
    return sum && most ? SURE[most] : "";
  }
  // The end of an import path says more than its start; the detail line and the title have all of it.
  function labelled(node, width) {
    if (node.type === "f") return node.name.slice(1);
    if (node.type !== "m" && node.type !== "p") return node.name;
    const parts = node.name.split("/");
    while (parts.length > 1 && parts.join("/").length * 7 + 10 > width) parts.shift();
    return (parts.length < node.name.split("/").length ? "…/" : "") + parts.join("/");
  }
  function paint(element, box, node) {
    element.style.left = box.x + "px"; element.style.top = box.y + "px";
    element.style.width = box.width + "px"; element.style.height = box.height + "px";
    element.style.setProperty("--h", hue(node));
    if (grey(node)) element.classList.add("grey");
    const hatch = leader(sureness(node));
    if (hatch) element.classList.add(hatch);
    if (box.width > 34 && box.height > 17) {
      const label = make("b", labelled(node, box.width) + " ");
      label.append(make("small", size(node.bytes)));
      element.append(label);
    }
  }
  function words(node) {
    const sure = sureness(node), told = SURE.map((word, i) => sure[i] ? word + " " + exactly(sure[i]) : "").filter(Boolean);
    return [fullName(node), TYPES[node.type], size(node.bytes) + " (" + exactly(node.bytes) + ")",
      node.parent ? share(node.bytes, node.parent.bytes) + " of " + node.parent.name : "", told.join(", ")].filter(Boolean).join(" · ");
  }
  // What would be too small to see or to press is one tile; it opens like any other.
  function grouped(node, area, least) {
    const kids = node.kids.filter((one) => one.bytes > 0).sort((a, b) => b.bytes - a.bytes || a.number - b.number);
    let keep = kids.findIndex((one, i) => i >= MOST || one.bytes * area / node.bytes < least);
    if (keep < 0 || kids.length - keep < 2) return kids;
    if (!keep) keep = Math.min(kids.length - 1, 200);
    const rest = kids.slice(keep), bytes = rest.reduce((sum, one) => sum + one.bytes, 0);
    const group = { number: -1, parent: node, name: rest.length + " smaller", bytes, type: "x", more: {}, kids: rest };
    return [...kids.slice(0, keep), group];
  }
  function drawTiles(focus) {
    const box = tiles.getBoundingClientRect();
    placed = squarify(grouped(here, box.width * box.height, PRESSED), 0, 0, box.width, box.height);
    tiles.dataset.bytes = here.bytes;
    tiles.setAttribute("aria-label", "Inside " + here.name + ", " + size(here.bytes));
    tiles.replaceChildren(...placed.map((spot, index) => {
      const node = spot.node, tile = make("button", "", { type: "button", class: "tile", tabindex: "-1", "aria-label": words(node), "data-bytes": node.bytes });
      tile.dataset.index = index; tile.title = words(node);
      if (!node.kids.length) tile.classList.add("leaf");
      if (node.kids.length && spot.width > 60 && spot.height > 50) {
        const room = { x: 2, y: HEAD, width: spot.width - 6, height: spot.height - HEAD - 11 };
        for (const part of squarify(grouped(node, room.width * room.height, LEAST), room.x, room.y, room.width, room.height)) {
          if (part.width < 2 || part.height < 2) continue;
          const inner = make("span", "", { class: "inner" });
          paint(inner, part, part.node); tile.append(inner);
        }
      }
      paint(tile, spot, node);
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
    const list = make("dl"), more = here.more, say = (term, ...lines) => { list.append(make("dt", term)); for (const line of lines) list.append(make("dd", line)); };
    say(TYPES[here.type] || "group", fullName(here)); say("bytes", exactly(here.bytes));
    const sure = sureness(here);
    if (sure.some(Boolean)) say("how sure", ...SURE.map((word, i) => word + " " + exactly(sure[i]) + " " + share(sure[i], here.bytes)));
    for (const [term, ...lines] of more.facts || []) say(term, ...lines);
    byId("about").replaceChildren(list);
  }
  function drawChildren(limit) {
    const body = byId("children").tBodies[0], kids = [...here.kids].sort((a, b) => b.bytes - a.bytes || a.number - b.number);
    byId("children").caption.textContent = kids.length ? kids.length + " in " + here.name : "";
    byId("children").tHead.hidden = !kids.length;
    body.replaceChildren(...kids.slice(0, limit).map((node) => {
      const row = make("tr", "", { "data-bytes": node.bytes }), name = make("td");
      if (node.kids.length) { const into = make("button", fullName(node), { type: "button" }); into.onclick = () => go(node, null); name.append(into); } else name.textContent = fullName(node);
      const bytes = make("td", size(node.bytes)); bytes.title = exactly(node.bytes);
      row.append(name, bytes, make("td", share(node.bytes, here.bytes)));
      return row;
    }));
    if (kids.length > limit) {
      const row = make("tr"), cell = make("td", "", { colspan: 3 }), more = make("button", (kids.length - limit) + " more", { type: "button" });
      more.onclick = () => drawChildren(limit + 500);
      cell.append(more); row.append(cell); body.append(row);
    }
  }
  function go(node, focus) {
    here = node;
    crumbs.replaceChildren(...trail(node).map((one) => {
      const crumb = make("button", one.name, { type: "button", title: fullName(one) });
      if (one === node) crumb.setAttribute("aria-current", "page");
      crumb.onclick = () => go(one, null);
      return crumb;
    }));
    drawTiles(focus); drawAbout(); drawChildren(100);
    detail.textContent = words(node);
  }
  function enter(node) { if (node.kids.length) go(node, null); else detail.textContent = words(node); }
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
  tiles.addEventListener("click", (event) => { const spot = spotOf(event.target); if (spot) enter(spot.node); });
  for (const kind of ["mouseover", "focusin"]) tiles.addEventListener(kind, (event) => { const spot = spotOf(event.target); if (spot) detail.textContent = words(spot.node); });
  tiles.addEventListener("keydown", (event) => {
    const spot = spotOf(event.target), arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (spot && arrows[event.key]) { event.preventDefault(); move(spot, ...arrows[event.key]); }
    if (spot && event.key === "Home") { event.preventDefault(); focusTile(0); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
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
  function told() { theme.textContent = isDark() ? "Light" : "Dark"; theme.setAttribute("aria-pressed", String(isDark())); theme.setAttribute("aria-label", "Dark colours"); }
  theme.onclick = () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; told(); };
  dark.addEventListener("change", told);
  for (const one of document.querySelectorAll(".scripted")) one.hidden = false;
  // Where nearly all bytes are one part's, as in most images of a service, the map begins inside of it.
  function start() {
    for (let node = root; ; ) {
      const most = node.kids.reduce((a, b) => (a && a.bytes >= b.bytes ? a : b), null);
      if (node.type === "b" || !most || !most.kids.length || most.bytes * 10 < node.bytes * 9) return node;
      node = most;
    }
  }
  told(); go(start());
  let waiting = 0;
  addEventListener("resize", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(() => drawTiles()); });
})();
