// The list of styles as the gallery shows it: what a search leaves, in groups. Pure functions.

/** Lower case without accents, so that "cezanne" finds "Cézanne". */
function fold(text) {
  return text.normalize("NFD").replace(/\p{Diacritic}/gu, "").toLowerCase();
}

/** True when every word of the search occurs in the name or the title. */
export function matches(style, search) {
  const text = fold(`${style.name} ${style.title ?? ""}`).replaceAll("_", " ");
  return fold(search)
    .replaceAll("_", " ")
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** What stands under the picture: the title of a preset, the file's own name of a saved style. */
export function label(style) {
  const own = style.name.split("/").pop();
  return ((style.shipped && style.title) || own).replaceAll("_", " ");
}

/** The folder of a saved style, "" at the top. */
export function folder(style) {
  return style.name.split("/").slice(0, -1).join("/");
}

/** Saved styles first, by name, then the shipped ones; only those that match. */
export function group(styles, search) {
  const found = styles.filter((style) => matches(style, search));
  const byName = (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true });
  return {
    saved: found.filter((style) => !style.shipped).sort(byName),
    shipped: found.filter((style) => style.shipped).sort(byName),
  };
}
