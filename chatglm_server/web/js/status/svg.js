// Elements of an SVG.

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...(Node | string)} children
 */
export function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * An image with a text alternative. Its units are pixels of the page, so that text has its size on a phone too.
 * @param {number} width
 * @param {number} height
 * @param {string} alternative
 * @param {...Node} parts
 */
export function image(width, height, alternative, ...parts) {
  const attributes = { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": alternative };
  return draw("svg", attributes, ...parts);
}
