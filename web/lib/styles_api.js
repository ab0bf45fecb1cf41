// The server's side of the styles folder: list, picture, rename, delete.

/** Asks the pack's routes; every refusal becomes an Error with the server's own line. */
export class StylesApi {
  #api;

  constructor(api) {
    this.#api = api;
  }

  /** All styles: {name, title, shipped, mode, thumbnail, error}. */
  async list() {
    const answer = await this.#ask("/metastyle/styles");
    return answer.styles;
  }

  /** Address of a style's picture. `version` changes it after a style was written anew. */
  thumbnailUrl(name, version) {
    const query = new URLSearchParams({ name, v: version });
    return this.#api.apiURL(`/metastyle/styles/thumbnail?${query}`);
  }

  rename(name, newName) {
    return this.#send("/metastyle/styles/rename", { name, new_name: newName });
  }

  remove(name) {
    return this.#send("/metastyle/styles/delete", { name });
  }

  #send(route, body) {
    return this.#ask(route, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  }

  async #ask(route, options) {
    const response = await this.#api.fetchApi(route, options);
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.error ?? `${response.status} ${response.statusText}`);
    return answer;
  }
}
