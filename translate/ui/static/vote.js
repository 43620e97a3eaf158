// window.vote(element, ask): two pictures whose makers are told after the choice; tallies stay in this browser.
window.vote = (element, ask) => {
  const KEY = "translate-votes";
  const read = () => { try { return JSON.parse(localStorage.getItem(KEY)) || []; } catch { return []; } };
  const W = window.words.vote;
  const make = (tag, about = {}, ...inside) => {
    const made = Object.assign(document.createElement(tag), about);
    made.append(...inside);
    return made;
  };
  const begin = make("button", {type: "button", textContent: W.two_pictures}), words = make("p"), pair = make("div", {className: "pair"});
  const said = make("p"), tally = make("table"), save = make("button", {type: "button", textContent: W.export});
  const forget = make("button", {type: "button", textContent: W.forget});
  said.setAttribute("role", "status");
  element.replaceChildren(make("div", {className: "vote"}, begin, words, pair, said, tally, save, forget));
  let open = null;
  function counted() {
    const rows = {}, votes = read();
    for (const {question, chosen, other} of votes) {
      for (const [name, won] of [[chosen, 1], [other, 0]]) {
        const row = rows[question + "\t" + name] ??= {won: 0, of: 0};
        row.won += won;
        row.of += 1;
      }
    }
    tally.replaceChildren(...Object.entries(rows).sort().map(([key, {won, of}]) => {
      const [question, name] = key.split("\t");
      return make("tr", {}, make("td", {textContent: question}), make("td", {textContent: name}),
        make("td", {textContent: fill(W.won, {won, of})}));
    }));
    save.hidden = forget.hidden = !votes.length;
  }
  function choose(index) {
    if (!open || open.done) return;
    open.done = true;
    const chosen = open.names[index], other = open.names[1 - index];
    localStorage.setItem(KEY, JSON.stringify([...read(), {time: new Date().toISOString(), question: open.question, words: open.words, chosen, other}]));
    const right = open.real < 0 ? "" : `${open.real == index ? W.right : W.wrong} `;
    said.textContent = right + fill(W.you_chose, {chosen, other});
    pair.querySelectorAll("figcaption").forEach((caption, i) => { caption.textContent = open.names[i]; });
    begin.textContent = W.next_two;
    counted();
  }
  begin.onclick = ask;
  save.onclick = () => {
    const cell = value => '"' + String(value).replaceAll('"', '""') + '"';
    const rows = [["time", "question", "words", "chosen", "other"], ...read().map(v => [v.time, v.question, v.words, v.chosen, v.other])];
    const link = make("a", {download: "votes.csv", href: URL.createObjectURL(new Blob([rows.map(r => r.map(cell).join(",")).join("\r\n")], {type: "text/csv"}))});
    link.click();
  };
  forget.onclick = () => { localStorage.removeItem(KEY); counted(); };
  counted();
  return {show(found) {
    if (!found || found.id == open?.id) return;
    open = found;
    words.textContent = found.words ? fill(W.quoted, found) : found.question;
    said.textContent = "";
    pair.replaceChildren(...found.pictures.map((picture, index) => make("figure", {},
      make("button", {type: "button", ariaLabel: fill(W.choose, {number: index + 1}), onclick: () => choose(index)},
        make("img", {src: picture, alt: fill(W.picture, {number: index + 1})})), make("figcaption", {textContent: fill(W.picture, {number: index + 1})}))));
  }};
};
