"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  // A node: [name, bytes, kind of node, [exact, shared, inferred, unknown] or 0, children or 0, note]
  const NAME = 0, BYTES = 1, WHAT = 2, SURE = 3, CHILDREN = 4, NOTE = 5;
  const $ = (id) => document.getElementById(id);
  const map = $("map"), say = $("say"), crumbs = $("crumbs"), search = $("search");
  let path = [data.tree], shown = [];

  const units = ["B", "kB", "MB", "GB", "TB"];
  function size(count) {
    let value = count, unit = 0;
    while (Math.round(value) >= 1000 && unit < units.length - 1) { value /= 1000; unit++; }
    return value.toFixed(unit > 1 ? 1 : 0) + " " + units[unit];
  }
  const exact = (count) => count.toLocaleString("en-US") + " bytes";
  const share = (part, whole) => (whole ? (100 * part / whole).toFixed(1) : "0.0") + " %";
  const words = ["exact", "shared", "inferred", "unknown"];
  // How most of a node is known; a fifth that is not exact is enough to show.
  function sure(node) {
    const parts = node[SURE];
    if (!parts) return "";
    const rest = parts.slice(1), most = Math.max(...rest);
    return most * 5 >= node[BYTES] ? words[1 + rest.indexOf(most)] : "";
  }
  function hue(name) {
    let hash = 7;
    for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
    return "var(--h" + hash % 8 + ")";
  }

  // Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000): rows along the shorter side, as long as that betters the worst ratio.
  function squarify(sizes, x, y, w, h) {
    const total = sizes.reduce((a, b) => a + b, 0), scale = total ? w * h / total : 0, out = [];
    let at = 0;
    while (at < sizes.length) {
      const side = Math.min(w, h);
      let sum = 0, worst = Infinity, end = at;
      while (end < sizes.length) {
        const area = sizes[end] * scale, grown = sum + area;
        const length = grown / side || 1, first = sizes[at] * scale / length, last = area / length;
        const ratio = Math.max(first / length, length / first, last / length, length / last);
        if (end > at && ratio > worst) break;
        worst = ratio; sum = grown; end++;
      }
      const length = side ? sum / side : 0;
      let along = 0;
      for (let i = at; i < end; i++) {
        const piece = length ? sizes[i] * scale / length : 0;
        out.push(w >= h ? [x, y + along, length, piece] : [x + along, y, piece, length]);
        along += piece;
      }
      if (w >= h) { x += length; w -= length; } else { y += length; h -= length; }
      at = end;
    }
    return out;
  }

  function describe(node) {
    const above = path[path.length - 1], whole = path[0];
    const parts = node[SURE] ? words.map((word, i) => node[SURE][i] ? share(node[SURE][i], node[BYTES]) + " " + word : "").filter(Boolean).join(", ") : "";
    say.replaceChildren();
    const strong = document.createElement("b");
    strong.textContent = node[NAME];
    say.append(strong, " " + exact(node[BYTES]) + ", " + share(node[BYTES], above[BYTES]) + " of " + above[NAME] + ", " + share(node[BYTES], whole[BYTES]) + " of all" +
      (node[WHAT] ? "; " + node[WHAT] : "") + (parts ? "; " + parts : "") + (node[NOTE] ? "; " + node[NOTE] : ""));
  }

  // What is in a part, drawn small below its name: to be seen, and not to be pressed.
  function inside(button, node, w, h) {
    const box = document.createElement("span"), parts = node[CHILDREN].filter((one) => one[BYTES] > 0);
    box.className = "inside"; box.style.height = h + "px";
    squarify(parts.map((one) => one[BYTES]), 0, 0, w, h).slice(0, 60).forEach(([x, y, pw, ph], i) => {
      if (pw < 6 || ph < 6) return;
      const part = document.createElement("i");
      part.style.left = x + "px"; part.style.top = y + "px"; part.style.width = pw + "px"; part.style.height = ph + "px";
      part.className = sure(parts[i]);
      if (pw > 60 && ph > 15) part.textContent = parts[i][NAME].split("/").slice(-2).join("/");
      box.append(part);
    });
    button.append(box);
  }

  const smallest = 3;
  function draw(focus) {
    const here = path[path.length - 1], box = map.getBoundingClientRect();
    shown = (here[CHILDREN] || []).filter((node) => node[BYTES] > 0);
    map.replaceChildren();
    map.dataset.bytes = here[BYTES];
    const places = squarify(shown.map((node) => node[BYTES]), 0, 0, box.width - 2, box.height - 2);
    shown.forEach((node, i) => {
      const [x, y, w, h] = places[i], button = document.createElement("button");
      button.style.left = x + "px"; button.style.top = y + "px";
      button.style.width = Math.max(w, 1) + "px"; button.style.height = Math.max(h, 1) + "px";
      button.style.setProperty("--hue", hue(node[NAME]));
      button.className = sure(node);
      button.dataset.bytes = node[BYTES]; button.dataset.at = i;
      button.tabIndex = i === 0 ? 0 : -1;
      button.setAttribute("aria-label", node[NAME] + ", " + exact(node[BYTES]) + ", " + share(node[BYTES], here[BYTES]) + (node[CHILDREN] ? ", Enter opens it" : ""));
      if (w > 44 && h > 18) {
        const name = document.createElement("b");
        name.textContent = node[NAME];
        button.append(name);
        if (h > 36) { const small = document.createElement("small"); small.textContent = size(node[BYTES]) + "  " + share(node[BYTES], here[BYTES]); button.append(small); }
      } else if (w < smallest || h < smallest) button.classList.add("tiny");
      if (w > 90 && h > 60 && node[CHILDREN]) inside(button, node, w - 8, h - 44);
      map.append(button);
    });
    crumbs.replaceChildren(...path.map((node, i) => {
      const item = document.createElement("li"), button = document.createElement("button");
      button.textContent = node[NAME] + " " + size(node[BYTES]);
      button.addEventListener("click", () => { path = path.slice(0, i + 1); draw(0); });
      if (i === path.length - 1) button.setAttribute("aria-current", "location");
      item.append(button); return item;
    }));
    $("up").disabled = path.length < 2;
    if (focus !== undefined) at(focus);
    else { say.textContent = shown.length + " parts; " + exact(here[BYTES]) + (here[NOTE] ? "; " + here[NOTE] : ""); }
  }
  function at(i) {
    const button = map.children[Math.max(0, Math.min(i, map.children.length - 1))];
    if (!button) return;
    for (const other of map.children) other.tabIndex = -1;
    button.tabIndex = 0; button.focus();
  }
  function open(i) { if (shown[i] && shown[i][CHILDREN]) { path.push(shown[i]); draw(0); } }
  function up() { if (path.length > 1) { const from = path.pop(); draw(); at(shown.indexOf(from)); } }
  // The nearest one whose middle lies in the direction of the key.
  function step(from, dx, dy) {
    const a = from.getBoundingClientRect();
    let best = null, least = Infinity;
    for (const to of map.children) {
      if (to === from) continue;
      const b = to.getBoundingClientRect(), x = b.x + b.width / 2 - a.x - a.width / 2, y = b.y + b.height / 2 - a.y - a.height / 2;
      const ahead = x * dx + y * dy, aside = Math.abs(x * dy) + Math.abs(y * dx);
      if (ahead > 1 && ahead + 3 * aside < least) { least = ahead + 3 * aside; best = to; }
    }
    if (best) at(+best.dataset.at);
  }
  map.addEventListener("click", (event) => { const button = event.target.closest("button"); if (button) { describe(shown[button.dataset.at]); open(+button.dataset.at); } });
  map.addEventListener("mouseover", (event) => { const button = event.target.closest("button"); if (button) describe(shown[button.dataset.at]); });
  map.addEventListener("focusin", (event) => { const button = event.target.closest("button"); if (button) describe(shown[button.dataset.at]); });
  const keys = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  map.addEventListener("keydown", (event) => {
    const button = event.target.closest("button");
    if (button && keys[event.key]) { step(button, ...keys[event.key]); event.preventDefault(); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.target === search) {
      if (event.key === "Escape") { search.value = ""; search.blur(); at(0); }
      if (event.key === "Enter") find(search.value.trim().toLowerCase());
      return;
    }
    if (event.key === "/") { search.focus(); event.preventDefault(); }
    if (event.key === "Backspace" || event.key === "Escape") { up(); event.preventDefault(); }
  });
  $("up").addEventListener("click", up);

  let last = "", skip = 0;
  // Walk the tree for the next name that has the words, and go where it is.
  function find(words) {
    if (!words) return;
    if (words !== last) { last = words; skip = 0; }
    let seen = 0, found = null;
    (function walk(node, above) {
      if (found) return;
      for (const child of node[CHILDREN] || []) {
        if (found) return;
        if (child[NAME].toLowerCase().includes(words) && seen++ === skip) { found = [...above, node, child]; return; }
        walk(child, [...above, node]);
      }
    })(data.tree, []);
    if (!found) { if (skip) { skip = 0; find(words); } else say.textContent = "nothing is called so"; return; }
    skip++;
    const target = found.pop();
    path = found; draw(); at(shown.indexOf(target));
  }
  $("theme").addEventListener("click", () => {
    const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = (root.dataset.theme || (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
  });
  let waiting = 0;
  addEventListener("resize", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(() => draw()); });
  // Where nearly all bytes are one part's, the map begins inside of it.
  for (;;) {
    const here = path[path.length - 1], most = (here[CHILDREN] || []).reduce((a, b) => (!a || b[BYTES] > a[BYTES] ? b : a), null);
    if (!most || !most[CHILDREN] || most[BYTES] < 0.9 * here[BYTES] || here[WHAT] === "program") break;
    path.push(most);
  }
  draw();
})();
