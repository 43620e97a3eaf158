// window.playground(element): draws frames of a game of points, see translate/ui/games.py. Returns {show(frame)}.
window.playground = element => {
  const make = (tag, about = {}, ...inside) => {
    const made = Object.assign(document.createElement(tag), about);
    made.append(...inside);
    return made;
  };
  const W = window.words.board;
  const canvas = make("canvas", {width: 560, height: 560});
  canvas.setAttribute("role", "img");
  const curve = make("canvas", {width: 560, height: 110});
  curve.setAttribute("aria-hidden", "true");
  const words = make("p", {className: "words"}), facts = make("p", {className: "facts"}), doctor = make("ul", {className: "doctor"});
  words.setAttribute("aria-live", "off");
  const key = make("p", {className: "key"});
  const signs = {data: W.data, made: W.made, arrow: W.pushed, real: W.real, fake: W.fake};
  for (const [sign, name] of Object.entries(signs)) key.append(make("i", {className: sign}), `${name} `);
  element.replaceChildren(make("div", {className: "playground"}, canvas, key, words, facts, curve, doctor));
  const pen = canvas.getContext("2d"), line = curve.getContext("2d");
  const SIDE = 36, small = make("canvas", {width: SIDE, height: SIDE}), ink = small.getContext("2d");
  let history = [], last = null, frames = 0, due = 0;
  const at = v => 280 + v * 0.28, down = v => 280 - v * 0.28;
  function surface(levels) {
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, 560, 560);
    if (levels.length != SIDE * SIDE) return;
    const image = ink.createImageData(SIDE, SIDE);
    levels.forEach((level, i) => {
      const p = level / 100, fake = Math.max(0, 1 - 2 * p), real = Math.max(0, 2 * p - 1);
      image.data.set([255 - 110 * real - 8 * fake, 255 - 45 * real - 65 * fake, 255 - 5 * real - 130 * fake, 255], 4 * i);
    });
    ink.putImageData(image, 0, 0);
    pen.imageSmoothingEnabled = true;
    pen.drawImage(small, 0, 0, 560, 560);
  }
  function dots(points, colour, radius) {
    pen.fillStyle = colour;
    for (let i = 0; i < points.length; i += 2) {
      pen.beginPath();
      pen.arc(at(points[i]), down(points[i + 1]), radius, 0, 7);
      pen.fill();
    }
  }
  function arrows(from, to) {
    pen.strokeStyle = "#047857";
    pen.lineWidth = 1.6;
    pen.beginPath();
    for (let i = 0; i < to.length; i += 2) {
      const [x, y, a, b] = [at(from[i]), down(from[i + 1]), at(to[i]), down(to[i + 1])];
      if (Math.hypot(a - x, b - y) < 1) continue;
      const turn = Math.atan2(b - y, a - x);
      pen.moveTo(x, y);
      pen.lineTo(a, b);
      for (const side of [2.6, -2.6]) { pen.moveTo(a, b); pen.lineTo(a + 5 * Math.cos(turn + side), b + 5 * Math.sin(turn + side)); }
    }
    pen.stroke();
  }
  function curves() {
    line.clearRect(0, 0, 560, 110);
    line.font = "13px sans-serif";
    const dark = document.body.classList.contains("dark");
    const kinds = [["distance", dark ? "#f28b82" : "#cc3311", W.distance],
      ["loss_D", dark ? "#7cc0ee" : "#0072b2", W.loss_d], ["loss_G", dark ? "#f2a65e" : "#d55e00", W.loss_g]];
    kinds.forEach(([name, colour, label], number) => {
      line.fillStyle = line.strokeStyle = colour;
      line.fillText(label, 4 + 170 * number, 14);
      const values = history.map(one => one[name]).filter(v => v != null && isFinite(v));
      if (values.length < 2) return;
      const low = Math.min(...values), high = Math.max(...values), tall = Math.max(high - low, 0.1 * Math.abs(high), 1e-9);  // what hardly changes looks flat
      line.beginPath();
      values.forEach((v, i) => line.lineTo(i / (values.length - 1) * 556 + 2, 104 - (v - low) / tall * 80));
      line.stroke();
    });
  }
  function show(frame) {
    if (!frame) return;
    if (!last || frame.t < last.t || frame.data != last.data) history = [];
    last = frame;
    history.push({distance: frame.distance, loss_D: frame.loss_D, loss_G: frame.loss_G});
    if (history.length > 1200) history = history.filter((_, i) => i % 2);
    due ||= requestAnimationFrame(() => { due = 0; paint(last); });  // where they come faster than they are drawn, the newest
  }
  function paint(frame) {
    frames += 1;
    canvas.dataset.frames = frames;
    canvas.dataset.update = frame.t;
    surface(frame.surface);
    dots(frame.real, "#0072b2aa", 3);
    dots(frame.made, "#d55e00dd", 3);
    arrows(frame.made, frame.arrows);
    curves();
    const number = (v, digits = 3) => v == null ? "–" : Number(v.toPrecision(digits));
    canvas.setAttribute("aria-label", fill(W.update, {t: frame.t, words: frame.words}));
    words.textContent = frame.words;
    const modes = frame.modes == null ? "" : fill(W.modes, frame);
    facts.textContent = fill(W.facts, {t: frame.t.toLocaleString(document.documentElement.lang), loss_d: number(frame.loss_D), loss_g: number(frame.loss_G),
      right: Math.round(100 * frame.right), gradient: number(frame.gradient, 2), distance: number(frame.distance)}) + modes;
    doctor.replaceChildren(...frame.doctor.map(said => make("li", {textContent: fill(W.doctor, {sentence: said})})));
  }
  return {show};
};
