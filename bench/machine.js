import os from "node:os";

/** One line on what the figures were taken with. */
export function machine() {
  const cpus = os.cpus();
  const model = cpus[0]?.model.trim() || "unknown CPU";
  const day = new Date().toISOString().slice(0, 10);
  return `Node ${process.versions.node}, ${model}, ${os.availableParallelism()} cores, ${os.type()} ${os.release()} (${process.arch}), ${day}`;
}
