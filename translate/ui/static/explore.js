// window.sliders(element, tell): a picture that follows sliders of latent dimensions; tell("[seed, value, ...]").
window.sliders = (element, tell) => {
  const image = Object.assign(document.createElement("img"), {alt: words.sliders.decoded});
  const list = document.createElement("div"), root = document.createElement("div");
  root.className = "latents";
  list.className = "list";
  root.append(image, list);
  root.hidden = true;
  element.replaceChildren(root);
  let seed = 0, waiting = false, again = false;
  function send() {
    const now = performance.now();
    if (waiting && now - image.dataset.asked < 3000) { again = true; return; }  // one question at a time, the newest next
    waiting = true;
    image.dataset.asked = now;
    tell(JSON.stringify([seed, ...[...list.querySelectorAll("input")].map(input => Number(input.value))]));
  }
  function show(found) {
    if (!found) return;
    root.hidden = false;
    image.src = found.picture;
    if (image.dataset.asked) image.dataset.took = Math.round(performance.now() - image.dataset.asked);
    waiting = false;
    if (found.fresh) {
      seed = found.seed;
      list.replaceChildren(...found.values.map((value, place) => {
        const label = document.createElement("label"), input = document.createElement("input");
        Object.assign(input, {type: "range", min: -4, max: 4, step: 0.05, value});
        input.addEventListener("input", send);
        label.append(found.names[place], input);
        return label;
      }));
    }
    if (again) { again = false; send(); }
  }
  return {show};
};
// window.calm(element, ask): a full page with one picture; a click asks for the next.
window.calm = (element, ask) => {
  const W = window.words.calm;
  const open = Object.assign(document.createElement("button"), {type: "button", className: "calm-open", textContent: W.open});
  const page = document.createElement("dialog"), image = document.createElement("img");
  const title = document.createElement("h2"), caption = document.createElement("p");
  const next = Object.assign(document.createElement("button"), {type: "button", textContent: W.another});
  const close = Object.assign(document.createElement("button"), {type: "button", textContent: W.close});
  page.className = "calm";
  page.append(image, title, caption, next, close);
  element.replaceChildren(open, page);
  open.onclick = () => { page.showModal(); ask(); };
  next.onclick = image.onclick = ask;
  close.onclick = () => page.close();
  return {show(found) {
    if (!found) return;
    image.src = found.picture;
    image.alt = title.textContent = found.title;
    caption.textContent = found.words;
  }};
};
