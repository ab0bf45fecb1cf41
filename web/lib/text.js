// The pack's words in the user's language. They come from locales/<language>/main.json, which the
// host collects and serves; the English below is what a host without that service shows.

export const ENGLISH = {
  tab: "Styles",
  tabTooltip: "MetaStyle styles",
  search: "Search styles",
  refresh: "Read the styles folder again",
  shipped: "Presets",
  saved: "My styles",
  noneSaved: "Save a style with the Save Adapted Style node, or drop style files here.",
  noneFound: "No style matches the search.",
  unreachable: "The styles could not be read: {reason}",
  addHint: "Double-click or drag onto the canvas",
  add: "Add {name} to the canvas",
  addShort: "Add to canvas",
  more: "What can be done",
  favourites: "Favourites",
  favour: "Add to favourites",
  unfavour: "Remove from favourites",
  duplicate: "Duplicate",
  export: "Export",
  showFile: "Show file",
  file: "The file of the style",
  fileCopied: "The path of the file is on the clipboard",
  twice: "Remove one of two copies of MetaStyle",
  twiceDetail:
    "It is installed in {first} and in {second}, and only one copy works. Delete a folder and restart.",
  rename: "Rename",
  remove: "Delete",
  renameTitle: "Rename style",
  renameMessage: "New name; a slash puts it into a folder",
  removeTitle: "Delete style",
  removeMessage: "The file is deleted for good; workflows that use it will need another style.",
  takenTitle: "There is such a style already",
  takenMessage:
    "A style is called {name} already. Save replaces it, {both} saves the new one beside it with a number. Close this window to save nothing.",
  keepBoth: "Keep both",
  damaged: "Cannot be used",
  missing: "This style is not in the styles folder",
  noPicture: "No picture",
  curve: "Losses while adapting",
  curveEmpty: "The losses appear here while the style adapts",
  content: "content",
  style: "style",
  total: "total",
  stop: "Stop and keep",
  stopHint: "End the steps now and go on with the best so far",
};

let words = ENGLISH;

/** Take the words of one language out of what the host collected; English fills the gaps. */
export function chooseWords(collected, locale) {
  const own = collected?.[locale] ?? collected?.[locale?.split("-")[0]];
  words = { ...ENGLISH, ...collected?.en?.metastyle, ...own?.metastyle };
}

/** Ask the host for the words; a host that has none leaves English. */
export async function loadWords(api, locale) {
  const response = await api.fetchApi("/i18n");
  if (response.ok) chooseWords(await response.json(), locale);
}

/** One text, with {placeholders} filled in. */
export function say(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
