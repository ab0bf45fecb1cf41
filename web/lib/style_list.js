// The list of styles as the gallery shows it: what a search leaves, in groups. Pure functions.

const PRESETS = "presets/";

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

/** What stands for a style in a list of one line: its title, or its name with its folder. */
export function lineOf(style) {
  return style.shipped ? label(style) : style.name;
}

/** What stands for a name that is in no list: a preset's without the folder it ships in. */
export function lineOfUnknown(name) {
  return name.startsWith(PRESETS) ? name.slice(PRESETS.length).replaceAll("_", " ") : name;
}

/**
 * The styles that match a search, by name: favourites, then saved ones, those of no folder first,
 * then the shipped ones.
 *
 * @param isFavourite tells it of a name.
 * @returns {favourites, saved: [[folder, styles], …], shipped}; a favourite is in its group too.
 */
export function group(styles, search, isFavourite = () => false) {
  const byName = (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true });
  const found = styles.filter((style) => matches(style, search)).sort(byName);
  const folders = new Map();
  for (const style of found.filter((each) => !each.shipped)) {
    folders.set(folder(style), [...(folders.get(folder(style)) ?? []), style]);
  }
  const inOrder = [...folders].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
  return {
    favourites: found.filter((style) => isFavourite(style.name)),
    saved: inOrder,
    shipped: found.filter((style) => style.shipped),
  };
}
