/**
 * @typedef {object} Row
 * @property {string} figure What was measured.
 * @property {string} sidecar What the sidecar reached.
 * @property {string} against The other side, and what it reached.
 * @property {string} comparison The ratio or the difference.
 * @property {string} goal What the comparison should be; empty where none was set.
 */

const titles = { figure: "figure", sidecar: "sidecar", against: "measured against", comparison: "comparison", goal: "goal" };
const columns = Object.keys(titles);

/** The rows as a markdown table. @param {Row[]} rows */
export function table(rows) {
  const line = (row) => `| ${columns.map((column) => row[column]).join(" | ")} |`;
  return [line(titles), `|${columns.map(() => "---|").join("")}`, ...rows.map(line)].join("\n");
}

/** A large number, as exact as a noisy machine allows. */
export function thousands(value) {
  return (Math.round(value / 1000) * 1000).toLocaleString("en");
}

/** The same for one that may be small. */
export function rounded(value) {
  return Number(value.toPrecision(3)).toLocaleString("en");
}
