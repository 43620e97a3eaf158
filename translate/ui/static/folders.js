// Folders for Gradio's file fields: dropped on a field, or chosen by a button <button data-folder=ID data-most=N>.
// Their pictures, films and zips, subfolders' too, are handed to the field as if they had been chosen one by one.
(() => {
  const KNOWN = /\.(jpe?g|png|webp|gif|tiff?|bmp|avif|heic|heif|jp2|ppm|pgm|mp4|mov|webm|mkv|avi|zip)$/i;
  const buttonOf = id => document.querySelector(`[data-folder="${id}"]`);
  function say(id, sentence) {
    const line = buttonOf(id)?.nextElementSibling;
    if (line) line.textContent = sentence;
  }
  function give(id, files) {
    const field = document.querySelector(`#${id} input[type=file]`), most = Number(buttonOf(id)?.dataset.most || 1000);
    const fitting = files.filter(file => KNOWN.test(file.name) && !file.name.startsWith("."));
    fitting.sort((a, b) => (a.webkitRelativePath || a.name).localeCompare(b.webkitRelativePath || b.name, undefined, {numeric: true}));
    if (!field) return say(id, words.folders.clear_first);
    if (!fitting.length) return say(id, words.folders.no_pictures);
    const taken = new DataTransfer();
    fitting.slice(0, most).forEach(file => taken.items.add(file));
    field.multiple = true;
    field.files = taken.files;
    field.dispatchEvent(new Event("change", {bubbles: true}));
    const rest = fitting.length - most;
    say(id, fill(rest > 0 ? words.folders.first_ones : words.folders.files, {most, count: fitting.length}));
  }
  async function inside(entry) {
    if (entry.isFile) return [await new Promise((good, bad) => entry.file(good, bad))];
    const reader = entry.createReader(), found = [];
    for (;;) {  // a hundred at a time
      const some = await new Promise((good, bad) => reader.readEntries(good, bad));
      if (!some.length) return found;
      for (const one of some) found.push(...await inside(one));
    }
  }
  document.addEventListener("drop", async event => {
    const field = event.target.closest?.(".folders"), items = [...event.dataTransfer?.items || []];
    const entries = items.map(item => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!field || !entries.some(entry => entry.isDirectory)) return;  // single files are Gradio's
    event.preventDefault();
    event.stopImmediatePropagation();
    field.dispatchEvent(new DragEvent("dragleave", {bubbles: true}));
    try { give(field.id, (await Promise.all(entries.map(inside))).flat()); } catch { say(field.id, words.folders.unreadable); }
  }, true);
  document.addEventListener("click", event => {
    const button = event.target.closest?.("[data-folder]");
    if (!button) return;
    const input = Object.assign(document.createElement("input"), {type: "file", webkitdirectory: true, multiple: true});
    input.onchange = () => give(button.dataset.folder, [...input.files]);
    input.click();
  });
})();
