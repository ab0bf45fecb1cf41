// The styles that a user likes best, kept among the host's settings and so on every browser.

const SETTING = "metastyle.favourites";

/** What the host must know of to keep it. */
export const FAVOURITES = { id: SETTING, name: "MetaStyle favourites", type: "hidden", defaultValue: [] };

/** Names of styles, in no order. */
export class Favourites {
  #settings;

  /** @param settings of the host: get(id) and set(id, value). */
  constructor(settings) {
    this.#settings = settings;
  }

  has(name) {
    return this.#names.includes(name);
  }

  /** Take a style in, or out again. */
  toggle(name) {
    const others = this.#names.filter((each) => each !== name);
    return this.#keep(this.has(name) ? others : [...others, name]);
  }

  /** A style that was renamed stays what it was. */
  follow(name, newName) {
    if (!this.has(name)) return undefined;
    return this.#keep(this.#names.map((each) => (each === name ? newName : each)));
  }

  get #names() {
    return this.#settings().get(SETTING) ?? [];
  }

  #keep(names) {
    return this.#settings().set(SETTING, names);
  }
}
