// Colours of our sockets and links, in either of the host's renderers. Those of the new one are
// in metastyle.css as well, because its style sheet reads them.

const COLOURS = { METASTYLE_MODEL: "#c9a227", METASTYLE_STYLE: "#e0689a" };

/** Colour our sockets; a palette that names them itself wins. */
export function colourSockets(app, LGraphCanvas) {
  for (const table of [app.canvas.default_connection_color_byType, LGraphCanvas?.link_type_colors]) {
    if (table) for (const type of Object.keys(COLOURS)) keepColour(table, type);
  }
}

/** The host empties the colours of types that its palette does not know. */
function keepColour(table, type) {
  let colour = COLOURS[type];
  Object.defineProperty(table, type, {
    enumerable: true,
    configurable: true,
    get: () => colour,
    set: (value) => (colour = value || COLOURS[type]),
  });
}
