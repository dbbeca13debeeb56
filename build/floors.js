/**
 * Checks the floors of the dependencies: package.json asks for exactly the versions that the lock
 * file holds and the tests run with, and each of them supports the oldest Node that we promise.
 */
import { readFileSync } from "node:fs";
import semver from "semver";

const read = (file) => JSON.parse(readFileSync(new URL(`../${file}`, import.meta.url), "utf8"));
const manifest = read("package.json");
const lock = read("package-lock.json");
const oldestNode = semver.minVersion(manifest.engines.node);

const complaints = [];
for (const group of ["dependencies", "optionalDependencies", "devDependencies"]) {
  for (const [name, range] of Object.entries(manifest[group])) {
    const locked = lock.packages[`node_modules/${name}`]?.version;
    if (semver.minVersion(range)?.version !== locked) complaints.push(`${name}: package.json allows ${range} from below ${locked}, which is what is tested`);
  }
}
for (const [place, entry] of Object.entries(lock.packages)) {
  const shipped = place !== "" && entry.dev !== true;
  if (shipped && entry.engines?.node && !semver.satisfies(oldestNode, entry.engines.node)) {
    complaints.push(`${place.replace(/^.*node_modules\//, "")}@${entry.version} needs Node ${entry.engines.node}, we promise ${oldestNode}`);
  }
}

for (const complaint of complaints) console.error(complaint);
console.log(
  complaints.length === 0 ? `floors: ${Object.keys(lock.packages).length - 1} packages hold on Node ${oldestNode}` : `floors: ${complaints.length} problems`,
);
process.exitCode = complaints.length === 0 ? 0 : 1;
