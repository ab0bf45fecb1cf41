// Two copies of the pack in one host, as a rename or a second install leaves behind: the scripts of
// the first work, and those of the others only say so.

import { loadWords, say } from "./text.js";

const FIRST = Symbol.for("metastyle.folder");

/** The folder of the copy whose scripts were read first, which is this one when there was none. */
export function firstCopy(folder) {
  globalThis[FIRST] ??= folder;
  return globalThis[FIRST];
}

/** An extension of the host that tells the user where the copies lie, and does nothing else. */
export function furtherCopy(app, api, first, second) {
  return {
    name: `metastyle.copy.${second}`,
    async setup() {
      await loadWords(api, app.extensionManager.setting.get("Comfy.Locale"));
      const detail = say("twiceDetail", { first, second });
      app.extensionManager.toast.add({ severity: "warn", summary: say("twice"), detail });
    },
  };
}
