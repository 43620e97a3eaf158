// window.strip(element, tell): this visit's results; {show(list)}. Two of them are compared here, in a dialog.
window.strip = (element, tell) => {
  const make = (tag, about = {}, ...inside) => {
    const made = Object.assign(document.createElement(tag), about);
    made.append(...inside);
    return made;
  };
  const W = window.words.strip;
  const button = (text, click) => make("button", {type: "button", textContent: text, onclick: click});
  const list = make("ul"), chosen = new Set();
  let results = [], items = new Map();  // what is there already stays: a live drawing sends the strip with every stroke
  const compare = button(W.compare_two, () => {
    const [left, right] = [...chosen].map(id => results.find(one => one.id == id)).reverse();
    dialog.showModal();
    viewer.show({
      title: `${left.title} / ${right.title}`, note: "", labels: [left.title, right.title],
      pictures: [{after: right.after, before: left.after, width: right.width, height: right.height}],
    });
  });
  const pack = button(W.download_zip, () => {
    const all = results.map(one => one.id);
    tell("pack", {ids: (chosen.size ? all.filter(id => chosen.has(id)) : all).join(" ")});
  });
  const forget = button(W.forget_all, () => { chosen.clear(); tell("forget", {}); });
  const stage = make("div");
  const dialog = make("dialog", {}, button(W.close, () => dialog.close()), stage);
  dialog.setAttribute("aria-label", W.two_compared);
  const viewer = window.viewer(stage, () => {});
  const head = make("div", {className: "head"}, make("h2", {textContent: W.this_visit}), compare, pack, forget);
  const root = make("section", {className: "strip"}, head, list, dialog);
  element.replaceChildren(root);
  function ready() {
    compare.disabled = chosen.size != 2;
    compare.title = compare.disabled ? W.tick_two : "";
    pack.textContent = chosen.size ? fill(W.download_ticked, {count: chosen.size}) : W.download_zip;
  }
  function show(found) {
    results = found;
    for (const id of chosen) if (!results.some(one => one.id == id)) chosen.delete(id);
    root.hidden = !results.length;
    const before = items;
    items = new Map(results.map(one => [one.id, before.get(one.id) || item(one)]));
    for (const [id, old] of before) if (!items.has(id)) old.remove();
    [...items.values()].forEach((one, place) => {
      if (list.children[place] != one) list.insertBefore(one, list.children[place] || null);
    });
    ready();
  }
  function item(one) {
    const tick = make("input", {type: "checkbox", checked: chosen.has(one.id), ariaLabel: fill(W.tick, {title: one.title})});
    tick.onchange = () => { tick.checked ? chosen.add(one.id) : chosen.delete(one.id); ready(); };
    const open = make("button", {type: "button", title: `${one.title}: ${one.note}`, onclick: () => tell("open", {id: one.id})},
      make("img", {src: one.thumbnail, alt: `${one.title}, ${one.note}`}));
    return make("li", {}, open, tick);
  }
  return {show};
};
