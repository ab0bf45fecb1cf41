// The order of our example workflows in the host's template browser.

/**
 * Show them by their numbers: the host lists files as the disk has them.
 *
 * @param folder the pack's own, by which the host knows its examples.
 */
export function inOrder(api, folder) {
  const list = api.getWorkflowTemplates;
  api.getWorkflowTemplates = async (...options) => {
    const templates = await list.apply(api, options);
    templates[folder]?.sort();
    return templates;
  };
}

/** The pack's folder, out of the address of one of its scripts. */
export function folderOf(address) {
  return decodeURIComponent(new URL(address).pathname.split("/extensions/")[1].split("/")[0]);
}
