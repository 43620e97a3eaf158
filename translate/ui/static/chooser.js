// window.chooser(element, props, trigger): models as cards, one of them chosen; {show()}.
window.chooser = (element, props, trigger) => {
  const make = (tag, about = {}, ...inside) => {
    const made = Object.assign(document.createElement(tag), about);
    made.append(...inside);
    return made;
  };
  const cards = make("div", {className: "cards"});
  cards.setAttribute("role", "radiogroup");
  cards.setAttribute("aria-label", props.heading || words.chooser.model);
  const find = make("input", {type: "search", placeholder: words.chooser.find, ariaLabel: words.chooser.find});
  const root = make("div", {className: "chooser"}, find, cards);
  const name = `model-${Math.random().toString(36).slice(2)}`;
  let drawn = null;
  element.replaceChildren(root);
  find.oninput = () => {
    for (const card of cards.children) card.hidden = !card.textContent.toLowerCase().includes(find.value.toLowerCase());
  };
  function show() {
    if (drawn != props.cards) {
      drawn = props.cards;
      const known = JSON.parse(drawn || "[]");
      find.hidden = known.length <= 12;
      cards.replaceChildren(...known.map(one => {
        const radio = make("input", {type: "radio", name, value: one.name});
        radio.onchange = () => { props.value = one.name; mark(); trigger("input"); };
        const picture = one.thumbnail ? make("img", {src: one.thumbnail, alt: "", loading: "lazy"}) : make("i");
        const label = make("label", {title: one.words}, radio, picture,
          make("span", {}, make("b", {textContent: one.title}), make("small", {textContent: one.words})));
        label.dataset.name = one.name;
        return label;
      }));
    }
    mark();
  }
  function mark() {
    for (const radio of cards.querySelectorAll("input")) {
      const now = radio.value == props.value;
      if (now && !radio.checked) {
        const card = radio.parentElement, far = card.offsetLeft + card.offsetWidth - cards.clientWidth;
        if (far > cards.scrollLeft || card.offsetLeft < cards.scrollLeft) cards.scrollLeft = card.offsetLeft - 20;
      }
      radio.checked = now;
    }
  }
  return {show};
};
