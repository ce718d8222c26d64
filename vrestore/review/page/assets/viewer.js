// Two versions of one picture at a time: wiped, side by side, flipped, or their difference.
"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const { versions, instants, shape } = page.viewer;
  const find = (selector) => document.querySelector(selector);
  const viewer = find(".viewer");
  const stage = find(".stage");
  const handle = find(".handle");
  const panes = { left: find(".pane.left"), right: find(".pane.right") };
  const selects = { left: find("#left"), right: find("#right") };
  const tags = { left: find(".tag.left"), right: find(".tag.right") };
  const maskBox = find("#mask");
  const gain = find("#gain");
  const [width, height] = shape;

  const state = {
    instant: Math.max(0, instants.findIndex((instant) => instant.mask)),
    left: 0,
    right: versions.length > 1 ? versions.length - 1 : 0,
    mode: "wipe",
    shown: "left",
    divider: 50,
    zoom: null, // picture pixels to CSS pixels; null fits the stage
    x: width / 2, // the picture's point in the middle of each pane
    y: height / 2,
  };

  // ------------------------------------------------------------------------------- layout

  const paneWidth = () => stage.clientWidth / (state.mode === "side" ? 2 : 1);
  const fit = () => Math.min(paneWidth() / width, stage.clientHeight / height);
  const scale = () => state.zoom ?? fit();
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  const resize = () => {
    const wanted = (stage.clientWidth * height) / width / (state.mode === "side" ? 2 : 1);
    const lowest = 200;
    stage.style.height = `${Math.round(clamp(wanted, lowest, window.innerHeight * 0.78))}px`;
    place();
  };

  const place = () => {
    const s = scale();
    const w = paneWidth();
    const h = stage.clientHeight;
    const room = (size, length) => Math.min(length / 2, size / 2 / s);
    state.x = clamp(state.x, room(w, width), width - room(w, width));
    state.y = clamp(state.y, room(h, height), height - room(h, height));
    // Whole pixels: a blended edge would show in the difference.
    for (const pane of Object.values(panes)) {
      const { style } = pane.firstElementChild;
      style.width = `${Math.round(width * s)}px`;
      style.height = `${Math.round(height * s)}px`;
      style.left = `${Math.round(w / 2 - state.x * s)}px`;
      style.top = `${Math.round(h / 2 - state.y * s)}px`;
    }
    stage.classList.toggle("zoomed", s > fit() * 1.001);
    stage.classList.toggle("pixels", s * window.devicePixelRatio >= 3);
    for (const button of document.querySelectorAll("[data-zoom]")) {
      const value = button.dataset.zoom === "fit" ? null : Number(button.dataset.zoom);
      const same = value === null
        ? state.zoom === null
        : Math.abs((state.zoom ?? -1) * window.devicePixelRatio - value) < 0.01;
      button.setAttribute("aria-pressed", String(same));
    }
    cut();
  };

  const cut = () => {
    const wiped = state.mode === "wipe";
    panes.right.style.clipPath = wiped ? `inset(0 0 0 ${state.divider}%)` : "none";
    handle.style.left = `${state.divider}%`;
    handle.setAttribute("aria-valuenow", String(Math.round(state.divider)));
  };

  const divide = (percent) => {
    state.divider = clamp(percent, 0, 100);
    cut();
  };

  // A zoom of 1 is one sample of the largest version on one sample of the screen.
  const zoom = (value, point) => {
    const before = scale();
    state.zoom = value === null ? null : clamp(value, Math.min(fit(), 0.05), 32);
    if (point) {
      const after = scale();
      state.x += point.x / before - point.x / after;
      state.y += point.y / before - point.y / after;
    }
    place();
  };

  // Where an event is, from the middle of the pane it is in.
  const fromMiddle = (event) => {
    const box = stage.getBoundingClientRect();
    const w = paneWidth();
    const x = (event.clientX - box.left) % w;
    return { x: x - w / 2, y: event.clientY - box.top - box.height / 2 };
  };

  const toDetail = () => {
    const picture = instants[state.instant].pictures[state.right];
    if (picture.detail) {
      const { x, y, width: w, height: h } = picture.detail;
      state.x = ((x + w / 2) / picture.width) * width;
      state.y = ((y + h / 2) / picture.height) * height;
    }
  };

  // ----------------------------------------------------------------------------- contents

  const fill = (side) => {
    const instant = instants[state.instant];
    const version = versions[state[side]];
    const picture = instant.pictures[state[side]];
    const sheet = panes[side].firstElementChild;
    const [whole, part, mask] = sheet.children;
    whole.src = picture.src;
    whole.alt = `${version.label} at ${instant.label}`;
    part.hidden = !picture.detail;
    if (picture.detail) {
      const { src, x, y, width: w, height: h } = picture.detail;
      part.src = src;
      part.style.left = `${(x / picture.width) * 100}%`;
      part.style.top = `${(y / picture.height) * 100}%`;
      part.style.width = `${(w / picture.width) * 100}%`;
      part.style.height = `${(h / picture.height) * 100}%`;
    }
    mask.hidden = !(instant.mask && maskBox && maskBox.checked);
    if (!mask.hidden) mask.src = instant.mask;
    tags[side].textContent = version.label;
    selects[side].value = String(state[side]);
  };

  const tell = () => {
    const instant = instants[state.instant];
    const seen = state.mode === "flip" ? [state.shown] : ["left", "right"];
    const parts = [instant.label, ...instant.notes[state.right]];
    const status = find(".status");
    status.replaceChildren(
      ...parts.map((text, number) => {
        const piece = document.createElement(number ? "span" : "b");
        piece.textContent = text;
        return piece;
      }),
    );
    const stored = document.createElement("span");
    stored.className = "quiet";
    stored.textContent = [...new Set(seen.map((side) => instant.pictures[state[side]].stored))]
      .map((text) => `stored ${text}`)
      .join("; ");
    status.append(stored);
  };

  const update = () => {
    viewer.dataset.mode = state.mode;
    viewer.dataset.shown = state.shown;
    for (const button of document.querySelectorAll("[data-set-mode]")) {
      const chosen = button.dataset.setMode === state.mode;
      button.setAttribute("aria-checked", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
    for (const [number, button] of document.querySelectorAll(".strip button").entries()) {
      if (number === state.instant) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    find(".panes").style.filter =
      state.mode === "difference" ? `brightness(${2 ** Number(gain.value)})` : "none";
    find("#gain-value").textContent = `${2 ** Number(gain.value)}×`;
    fill("left");
    fill("right");
    tell();
    resize();
  };

  const choose = (changes) => {
    Object.assign(state, changes);
    update();
  };
  const go = (instant) => {
    choose({ instant: (instant + instants.length) % instants.length });
    find(`.strip li:nth-child(${state.instant + 1})`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  const swap = () => choose({ left: state.right, right: state.left });
  const flip = () => choose({ mode: "flip", shown: state.shown === "left" ? "right" : "left" });

  // ------------------------------------------------------------------------------- events

  for (const side of ["left", "right"]) {
    selects[side].addEventListener("change", () => choose({ [side]: Number(selects[side].value) }));
  }
  find("#swap").addEventListener("click", swap);
  gain.addEventListener("input", update);
  maskBox?.addEventListener("change", update);
  const modes = [...document.querySelectorAll("[data-set-mode]")];
  for (const [number, button] of modes.entries()) {
    button.addEventListener("click", () => {
      const again = button.dataset.setMode === "flip" && state.mode === "flip";
      if (again) flip();
      else choose({ mode: button.dataset.setMode, shown: "left" });
    });
    button.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      const next = modes[(number + step + modes.length) % modes.length];
      next.click();
      next.focus();
    });
  }
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      if (button.dataset.zoom === "fit") return zoom(null);
      if (state.zoom === null) toDetail();
      zoom(Number(button.dataset.zoom) / window.devicePixelRatio);
    });
  }
  for (const [number, button] of document.querySelectorAll(".strip button").entries()) {
    button.addEventListener("click", () => go(number));
  }

  let drag = null;
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    divide(((event.clientX - box.left) / box.width) * 100);
  };
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    event.stopPropagation();
    handle.focus({ preventScroll: true });
    handle.setPointerCapture(event.pointerId);
    drag = "divider";
  });
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    const end = { Home: 0, End: 100 }[event.key];
    if (step === undefined && end === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    divide(end ?? state.divider + step * (event.shiftKey ? 10 : 1));
  });

  const pointers = new Map();
  stage.addEventListener("pointerdown", (event) => {
    if (drag === "divider" || event.button !== 0) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (stage.classList.contains("zoomed")) {
      stage.setPointerCapture(event.pointerId);
      stage.classList.add("dragged");
    } else if (state.mode === "wipe" && event.pointerType === "mouse") {
      stage.setPointerCapture(event.pointerId);
      drag = "divider";
      follow(event);
    }
  });
  stage.addEventListener("pointermove", (event) => {
    if (drag === "divider") return follow(event);
    const last = pointers.get(event.pointerId);
    if (!last || !stage.classList.contains("dragged")) return;
    const now = { x: event.clientX, y: event.clientY };
    const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    if (others.length) {
      const spread = (at) => Math.hypot(at.x - others[0].x, at.y - others[0].y) || 1;
      zoom(scale() * (spread(now) / spread(last)), fromMiddle({ clientX: others[0].x, clientY: others[0].y }));
    } else {
      state.x -= (now.x - last.x) / scale();
      state.y -= (now.y - last.y) / scale();
      place();
    }
    pointers.set(event.pointerId, now);
  });
  const release = (event) => {
    pointers.delete(event.pointerId);
    drag = null;
    if (!pointers.size) stage.classList.remove("dragged");
  };
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  stage.addEventListener("dblclick", (event) => {
    if (event.target === handle) return;
    if (state.zoom !== null) zoom(null);
    else zoom(1 / window.devicePixelRatio, fromMiddle(event));
  });
  // Plain scrolling stays the page's.
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(scale() * 2 ** (-event.deltaY / 240), fromMiddle(event));
  }, { passive: false });

  const pan = (dx, dy) => {
    state.x += (dx * stage.clientWidth) / 8 / scale();
    state.y += (dy * stage.clientWidth) / 8 / scale();
    place();
  };
  const zoomed = () => stage.classList.contains("zoomed");
  const actions = {
    w: () => choose({ mode: "wipe" }),
    s: () => choose({ mode: "side" }),
    d: () => choose({ mode: "difference" }),
    f: flip,
    x: swap,
    m: () => maskBox?.click(),
    0: () => zoom(null),
    1: () => find('[data-zoom="1"]').click(),
    2: () => find('[data-zoom="2"]').click(),
    4: () => find('[data-zoom="4"]').click(),
    "+": () => zoom(scale() * 1.25),
    "-": () => zoom(scale() / 1.25),
    ",": () => go(state.instant - 1),
    ".": () => go(state.instant + 1),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("select, input, textarea")) return;
    const action = actions[event.key.toLowerCase()];
    if (action) {
      event.preventDefault();
      action();
    }
  });
  stage.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way || event.target !== stage) return;
    if (zoomed()) pan(...way);
    else if (state.mode === "wipe" && way[0]) divide(state.divider + way[0] * (event.shiftKey ? 10 : 1));
    else return;
    event.preventDefault();
  });
  document.addEventListener("instant", (event) => {
    const distance = (instant) => Math.abs(instant.seconds - event.detail);
    const best = instants.reduce((a, b) => (distance(b) < distance(a) ? b : a));
    go(instants.indexOf(best));
  });
  new ResizeObserver(resize).observe(stage.parentElement);
  update();
})();
