// The server's side of the styles folder: list, pictures, files, and what changes them.

/** Asks the pack's routes; every refusal becomes an Error with the server's own line. */
export class StylesApi {
  #api;

  constructor(api) {
    this.#api = api;
  }

  /** All styles: {name, title, shipped, mode, thumbnail, painting, error, file}. */
  async list() {
    const answer = await this.#ask("/metastyle/styles");
    return answer.styles;
  }

  /**
   * Address of a style's picture. `version` changes it after a style was written anew.
   *
   * @param more {kind: "painting"} for the picture that the user keeps beside it.
   */
  thumbnailUrl(name, version, more = {}) {
    const query = new URLSearchParams({ name, v: version, ...more });
    return this.#api.apiURL(`/metastyle/styles/thumbnail?${query}`);
  }

  /** Address of a style's file, which the browser saves. */
  fileUrl(name) {
    return this.#api.apiURL(`/metastyle/styles/file?${new URLSearchParams({ name })}`);
  }

  /** Copy a style into the folder of saved ones; the answer has the copy's name. */
  duplicate(name) {
    return this.#send("/metastyle/styles/duplicate", { name });
  }

  /** Put a file of the user's into the folder; the answer has the name it got. */
  add(file) {
    const query = new URLSearchParams({ name: file.name });
    return this.#ask(`/metastyle/styles/import?${query}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: file,
    });
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
