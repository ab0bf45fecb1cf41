// Which errors of a page count: all, but for those that hosts are known to make without us.

// The host asks for help in the page's language first, which not every node has.
const HELP = /\/metastyle\/docs\/\w+\/[\w-]+\.md$/;
const HOSTS_OWN = /404|deprecated|Content Security Policy|Refused to connect|reading 'id'|before initialization/;
const OURS = /\/metastyle\//;

/** Of an error's text with its stack or address: false for the host's own noise. */
export function isProblem(text) {
  return !HELP.test(text) && (OURS.test(text) || !HOSTS_OWN.test(text));
}
