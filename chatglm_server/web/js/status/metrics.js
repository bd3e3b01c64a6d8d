// Figures in Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats/.

/**
 * @typedef {{name: string, labels: Record<string, string>, value: number}} Sample
 */

const SAMPLE = /^(\w+)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** @param {string} text @returns {Sample[]} */
export function samples(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const match = SAMPLE.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries(Array.from((match[2] ?? "").matchAll(LABEL), ([, name, value]) => [name, value]));
    found.push({ name: match[1], labels, value: Number(match[3]) });
  }
  return found;
}

/**
 * The sum over all models of a figure, of those samples that `wanted` wants; null if there is none.
 * @param {Sample[]} all
 * @param {string} name  without "chatglm_"
 * @param {(labels: Record<string, string>) => boolean} [wanted]
 */
export function total(all, name, wanted = () => true) {
  const values = all.filter((one) => one.name === `chatglm_${name}` && wanted(one.labels)).map((one) => one.value);
  return values.length ? values.reduce((sum, value) => sum + value, 0) : null;
}
