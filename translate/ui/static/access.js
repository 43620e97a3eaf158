// What Gradio's own parts lack: its empty gallery has a name and no role, and a button the name of a translation
// that is not there; tables that scroll can be reached by keys.
new MutationObserver(() => {
  for (const empty of document.querySelectorAll('div[aria-label="Empty value"]:not([role])')) empty.setAttribute("role", "img");
  for (const more of document.querySelectorAll('[aria-label="common.upload"]')) more.ariaLabel = more.title = words.access.upload_others;
  for (const table of document.querySelectorAll(".prose table:not([tabindex])")) table.tabIndex = 0;  // it scrolls
}).observe(document, {childList: true, subtree: true});
