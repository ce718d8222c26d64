// Reads values off the curves: pointer or arrow keys move a line over every plot of one axis.
"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);

  const clock = (seconds) => {
    const hundredths = Math.round(Math.abs(seconds) * 100);
    const minutes = Math.floor(hundredths / 6000);
    const rest = hundredths % 6000;
    const tail = `${String(Math.floor(rest / 100)).padStart(2, "0")}.${String(rest % 100).padStart(2, "0")}`;
    const head = minutes >= 60
      ? `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}`
      : `${minutes}`;
    return `${seconds < 0 ? "-" : ""}${head}:${tail}`;
  };

  const nearest = (sorted, value) => {
    let low = 0;
    let high = sorted.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (sorted[middle] <= value) low = middle;
      else high = middle;
    }
    return value - sorted[low] <= sorted[high] - value ? low : high;
  };

  for (const figure of document.querySelectorAll(".plot")) {
    const plot = page.plots[figure.dataset.plot];
    const area = figure.querySelector(".area");
    const cursor = figure.querySelector(".cursor");
    const readout = figure.querySelector(".readout");
    if (!plot || plot.x.length === 0) continue;
    const first = plot.x[0];
    const span = plot.x[plot.x.length - 1] - first || 1;
    let at = null;

    const show = (index) => {
      at = index;
      const x = plot.x[index];
      cursor.style.visibility = "visible";
      cursor.style.left = `${((x - first) / span) * 100}%`;
      const values = plot.series.map(({ name, values: all }) => {
        const value = all[index] === null ? "–" : Number(all[index].toPrecision(4));
        return plot.series.length > 1 ? `${name} ${value}` : `${value}`;
      });
      readout.textContent = `${plot.inTime ? clock(x) : x}   ${values.join("   ")}`;
    };
    const hide = () => {
      at = null;
      cursor.style.visibility = "hidden";
      readout.textContent = "";
    };
    const under = (event) => {
      const box = area.getBoundingClientRect();
      return nearest(plot.x, first + ((event.clientX - box.left) / box.width) * span);
    };

    area.addEventListener("pointermove", (event) => show(under(event)));
    area.addEventListener("pointerleave", hide);
    area.addEventListener("click", (event) => {
      if (!plot.inTime) return;
      document.dispatchEvent(new CustomEvent("instant", { detail: plot.x[under(event)] }));
    });
    figure.addEventListener("blur", hide);
    figure.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
      if (!step) return;
      event.preventDefault();
      show(Math.min(plot.x.length - 1, Math.max(0, at === null ? 0 : at + step)));
    });
  }
})();
