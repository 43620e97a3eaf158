// window.viewer(element): a picture, a before/after slider or a board of pictures, with its tools.
// Returns {show(value)}; value as translate/ui/result.py makes it, or null. tell(event, data) is called for what
// the server has to do. Used by every tab's result and by the comparison of this visit's results.
window.viewer = (element, tell) => {
  const make = (tag, about = {}, ...inside) => {
    const made = Object.assign(document.createElement(tag), about);
    made.append(...inside);
    return made;
  };
  const W = window.words.viewer;
  const button = (text, about, click) => make("button", {type: "button", textContent: text, onclick: click, ...about});
  const state = {value: null, index: 0, at: 50, zoom: 1, x: 0, y: 0};
  const before = make("img", {className: "before", draggable: false});
  const after = make("img", {className: "after", draggable: false});
  const tagBefore = make("span", {className: "tag left"}), tagAfter = make("span", {className: "tag right"});
  const slide = make("input", {type: "range", min: 0, max: 100, step: 1, className: "at"});
  slide.setAttribute("aria-label", W.how_much_before);
  const bar = make("i", {className: "bar"});
  const layer = make("div", {className: "layer"}, after, before, bar);
  const stage = make("div", {className: "stage"}, layer, tagBefore, tagAfter, slide);
  const board = make("div", {className: "board"});
  const empty = make("p", {className: "empty"});
  const note = make("p", {className: "note"});
  const tools = make("div", {className: "tools"}), onward = make("div", {className: "onward"});
  const said = make("p", {className: "said"});
  said.setAttribute("role", "status");
  const root = make("figure", {className: "viewer"}, empty, stage, board, make("figcaption", {}, note, tools, onward, said));
  element.replaceChildren(root);

  const back = button(W.all, {title: W.back}, () => open(-1));
  const full = button(W.full_screen, {}, () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (root.requestFullscreen) root.requestFullscreen();
    else root.classList.toggle("whole");  // telephones without it
  });
  const copy = button(W.copy, {}, copied);
  const format = make("select", {ariaLabel: W.format},
    ...["PNG", "JPEG", "WEBP"].map(name => make("option", {value: name, textContent: name == "WEBP" ? "WebP" : name})));
  const quality = make("input", {type: "range", min: 40, max: 100, value: 92, ariaLabel: W.quality_of});
  const degree = make("label", {className: "quality"}, W.quality + " ", make("output", {textContent: "92"}), quality);
  quality.oninput = () => { degree.querySelector("output").textContent = quality.value; };
  format.onchange = () => { degree.hidden = format.value == "PNG"; };
  degree.hidden = true;
  const save = button(W.download, {className: "save"}, () => {
    say(W.writing);
    tell("save", {id: state.value.id, index: state.index, format: format.value, quality: Number(quality.value)});
  });

  function say(sentence) {
    said.textContent = sentence;
    clearTimeout(state.timer);
    if (sentence) state.timer = setTimeout(() => { said.textContent = ""; }, 6000);
  }
  const shown = () => state.value?.pictures[state.index];
  function place() {
    layer.style.transform = `translate(${state.x}px, ${state.y}px) scale(${state.zoom})`;
    stage.style.setProperty("--at", `${state.at}%`);
    stage.style.setProperty("--zoom", state.zoom);
    slide.value = state.at;
  }
  function zoomed(factor, clientX, clientY) {
    const box = stage.getBoundingClientRect(), zoom = Math.min(16, Math.max(1, state.zoom * factor));
    const x = clientX - box.left, y = clientY - box.top, grown = zoom / state.zoom;
    state.x = Math.min(0, Math.max(box.width * (1 - zoom), x - (x - state.x) * grown));
    state.y = Math.min(0, Math.max(box.height * (1 - zoom), y - (y - state.y) * grown));
    state.zoom = zoom;
    place();
  }
  function open(index) {
    Object.assign(state, {index, zoom: 1, x: 0, y: 0});
    const value = state.value, one = shown(), several = value && value.pictures.length > 1;
    empty.hidden = !!value;
    stage.hidden = !one;
    board.hidden = !value || !!one;
    root.classList.toggle("filled", !!value);
    if (one) {
      stage.style.aspectRatio = `${one.width} / ${one.height}`;
      stage.style.setProperty("--ratio", one.width / one.height);
      after.src = one.after;
      after.alt = one.alt || value.title;
      after.classList.toggle("coarse", Math.max(one.width, one.height) < 64);
      for (const part of [before, bar, slide, tagBefore, tagAfter]) part.hidden = !one.before;
      if (one.before) Object.assign(before, {src: one.before, alt: W.before_alt});
      tagBefore.textContent = value?.labels?.[0] || W.before;
      tagAfter.textContent = value?.labels?.[1] || W.after;
      place();
    }
    back.hidden = !several || index < 0;
    copy.hidden = index < 0;
  }
  function show(value) {
    const same = value && state.value?.id == value.id;
    state.value = value;
    if (!same) state.at = 50;
    say("");
    note.replaceChildren();
    tools.replaceChildren();
    onward.replaceChildren();
    board.replaceChildren();
    if (!value) { open(0); return; }
    const title = make("b", {textContent: value.title});
    note.append(title, value.note ? ` ${value.note}` : "");
    const differ = new Set(value.pictures.map(picture => picture.alt)).size > 1;
    board.append(...value.pictures.map((picture, index) => {
      const one = button("", {title: picture.alt || fill(W.number, {number: index + 1})}, () => {
        open(index);
        tell("choose", {id: value.id, index});
      });
      one.setAttribute("aria-label", picture.alt || fill(W.number, {number: index + 1}));
      const shown = make("img", {src: picture.after, alt: "", className: picture.width < 64 ? "coarse" : ""});
      shown.style.aspectRatio = `${picture.width} / ${picture.height}`;
      one.append(shown);
      if (differ) one.append(make("small", {textContent: picture.alt}));
      const way = (value.onward || []).find(([, , short]) => short);
      if (!way) return one;
      const quick = button(way[2], {title: way[1], className: "quick"}, () => {
        tell("onward", {id: value.id, index, way: way[0]});
      });
      quick.setAttribute("aria-label", `${way[1]}: ${one.getAttribute("aria-label")}`);
      return make("div", {className: "cell"}, one, quick);
    }));
    board.style.setProperty("--columns", Math.ceil(Math.sqrt(value.pictures.length)));
    board.classList.toggle("many", value.pictures.length > 16);
    board.classList.toggle("dense", value.pictures.length > 9);
    if (value.id) {
      tools.append(back, save, format, degree, copy, full);
      const ways = value.onward || [];
      if (ways.length) onward.append(make("span", {textContent: W.continue_}));
      for (const [way, label] of ways) {
        onward.append(button(label, {}, () => {
          if (state.index < 0) { say(W.choose_first); return; }
          tell("onward", {id: value.id, index: state.index, way});
        }));
      }
    } else tools.append(back, copy, full);
    open(value.pictures.length > 1 ? -1 : 0);
    // On a telephone the result may lie outside of what is seen.
    const box = root.getBoundingClientRect();
    if (!same && innerWidth < 800 && box.height && (box.top < 0 || box.top > innerHeight * 0.6)) {
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      root.scrollIntoView({block: "start", behavior: calm ? "auto" : "smooth"});
    }
  }
  async function copied() {
    const one = shown();
    if (!navigator.clipboard?.write) { say(W.no_clipboard); return; }
    const canvas = make("canvas", {width: after.naturalWidth, height: after.naturalHeight});
    canvas.getContext("2d").drawImage(after, 0, 0);
    const blob = new Promise(done => canvas.toBlob(done, "image/png"));
    try {
      await navigator.clipboard.write([new ClipboardItem({"image/png": blob})]);
      say(canvas.width < one.width ? fill(W.copied_smaller, {width: canvas.width, height: canvas.height}) : W.copied);
    } catch { say(W.not_allowed); }
  }

  const pointers = new Map();
  let moves = "";
  stage.addEventListener("pointerdown", event => {
    if (event.target == slide) return;
    pointers.set(event.pointerId, event);
    stage.setPointerCapture(event.pointerId);
    const box = stage.getBoundingClientRect();
    const near = Math.abs(event.clientX - box.left - state.x - box.width * state.zoom * state.at / 100) < 28;
    moves = state.zoom > 1 && !near ? "picture" : before.hidden ? "" : "bar";
    if (moves == "bar") slid(event);
  });
  function slid(event) {
    const box = stage.getBoundingClientRect();
    state.at = Math.min(100, Math.max(0, (event.clientX - box.left - state.x) / box.width / state.zoom * 100));
    place();
  }
  stage.addEventListener("pointermove", event => {
    const old = pointers.get(event.pointerId);
    if (!old) return;
    if (pointers.size == 2) {
      const other = [...pointers.values()].find(p => p.pointerId != event.pointerId);
      const far = p => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
      zoomed(far(event) / Math.max(1, far(old)), (event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2);
    } else if (moves == "picture") {
      const box = stage.getBoundingClientRect();
      state.x = Math.min(0, Math.max(box.width * (1 - state.zoom), state.x + event.clientX - old.clientX));
      state.y = Math.min(0, Math.max(box.height * (1 - state.zoom), state.y + event.clientY - old.clientY));
      place();
    } else if (moves == "bar") slid(event);
    pointers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, event => pointers.delete(event.pointerId));
  stage.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.metaKey && !document.fullscreenElement && state.zoom == 1 && event.deltaY > 0) return;
    event.preventDefault();
    zoomed(Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
  }, {passive: false});
  stage.addEventListener("dblclick", event => zoomed(state.zoom > 1 ? 1 / state.zoom : 4, event.clientX, event.clientY));
  slide.oninput = () => { state.at = Number(slide.value); place(); };
  const hint = sentence => { empty.textContent = sentence; };
  show(null);
  return {show, say, hint};
};

// A file that the server has written for a download, as {url, name}.
window.fetched = value => {
  const link = document.createElement("a");
  Object.assign(link, {href: value.url, download: value.name});
  document.body.append(link);
  link.click();
  link.remove();
};
