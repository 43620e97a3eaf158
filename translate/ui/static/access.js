// What Gradio's own parts lack for screen readers: its empty gallery has a name and no role.
new MutationObserver(() => {
  for (const empty of document.querySelectorAll('div[aria-label="Empty value"]:not([role])')) empty.setAttribute("role", "img");
}).observe(document, {childList: true, subtree: true});
