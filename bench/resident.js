import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

/** Resident memory of a process, in MiB. */
export function residentMemory(pid) {
  return field(pid, "VmRSS") ?? Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" })) / 1024;
}

/**
 * Watches the resident memory of a process; the function returned gives its peak since, in MiB. Linux
 * keeps it; elsewhere it is looked at ten times a second.
 */
export function watchPeak(pid) {
  if (field(pid, "VmHWM") !== undefined) {
    // 5 makes the peak start again from here.
    writeFileSync(`/proc/${pid}/clear_refs`, "5");
    return () => field(pid, "VmHWM");
  }
  let peak = residentMemory(pid);
  const look = setInterval(() => {
    peak = Math.max(peak, residentMemory(pid));
  }, 100);
  return () => {
    clearInterval(look);
    return peak;
  };
}

/** A line of /proc/<pid>/status in MiB; undefined where there is no such file. */
function field(pid, name) {
  if (process.platform !== "linux") return undefined;
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(status)?.[1]) / 1024;
}
