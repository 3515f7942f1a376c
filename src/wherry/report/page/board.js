(function () {
  const theme = document.getElementById("theme"), choice = document.getElementById("image"), root = document.documentElement;
  for (const one of document.querySelectorAll(".scripted")) one.hidden = false;
  function dark() { return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches; }
  function named() { theme.textContent = dark() ? "Light" : "Dark"; theme.setAttribute("aria-pressed", String(dark())); }
  theme.onclick = () => { root.dataset.theme = dark() ? "light" : "dark"; named(); };
  named();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", named);

  const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];
  function figure(value, unit) {
    if (unit === "bytes") {
      let place = 0;
      while (Math.round(value) >= 1000 && place < UNITS.length - 1) { value /= 1000; place++; }
      return value.toFixed(place > 1 ? 1 : 0) + " " + UNITS[place];
    }
    if (unit === "share") return Math.round(value * 100) + " %";
    if (unit === "count") return String(value);
    for (const [limit, divisor, name] of [[172800, 86400, "days"], [7200, 3600, "h"], [120, 60, "min"]]) if (value >= limit) return (value / divisor).toFixed(1) + " " + name;
    return value >= 1 ? value.toFixed(1) + " s" : Math.round(value * 1000) + " ms";
  }
  function series(plot) {
    let at = 0;
    const moments = plot.dataset.t.split(",").map((step) => at += +step);
    return { moments, values: plot.dataset.v.split(",").map(Number) };
  }
  function show(plot, place) {
    const { moments, values } = series(plot), out = plot.nextElementSibling.querySelector("output");
    const first = moments[0], wide = moments[moments.length - 1] - first;
    const mark = plot.querySelector("i") || plot.appendChild(document.createElement("i"));
    plot.dataset.place = place;
    mark.style.left = (wide ? (moments[place] - first) / wide * 100 : 0) + "%";
    out.textContent = new Date(moments[place] * 1000).toISOString().slice(0, 16).replace("T", " ") + "  " + figure(values[place], plot.dataset.unit);
  }
  function hide(plot) {
    const mark = plot.querySelector("i");
    if (mark) mark.remove();
    plot.nextElementSibling.querySelector("output").textContent = "";
  }
  for (const plot of document.querySelectorAll(".plot")) {
    plot.addEventListener("pointermove", (event) => {
      const box = plot.getBoundingClientRect(), { moments } = series(plot), last = moments.length - 1;
      const wanted = moments[0] + (event.clientX - box.left) / box.width * (moments[last] - moments[0]);
      let place = moments.findIndex((moment) => moment >= wanted);
      if (place < 0) place = last;
      if (place > 0 && wanted - moments[place - 1] < moments[place] - wanted) place--;
      show(plot, place);
    });
    plot.addEventListener("pointerleave", () => { if (document.activeElement !== plot) hide(plot); });
    plot.addEventListener("focus", () => show(plot, +(plot.dataset.place || series(plot).moments.length - 1)));
    plot.addEventListener("blur", () => hide(plot));
    plot.addEventListener("keydown", (event) => {
      const last = series(plot).moments.length - 1, here = +(plot.dataset.place || last);
      const place = { ArrowLeft: Math.max(0, here - 1), ArrowRight: Math.min(last, here + 1), Home: 0, End: last }[event.key];
      if (place === undefined) return;
      event.preventDefault();
      show(plot, place);
    });
  }
  if (choice) {
    const images = [...document.querySelectorAll("article.image")];
    choice.onchange = () => images.forEach((one, place) => { one.hidden = place !== +choice.value; });
    choice.onchange();
  }
})();
