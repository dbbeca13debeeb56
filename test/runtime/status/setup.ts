import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Custody } from "../../../src/custody/custody.ts";
import { createLog } from "../../../src/log.ts";
import { StatusReport, type StatusReportParts } from "../../../src/runtime/status.ts";
import { Programs } from "../../../src/runtime/status/programs.ts";
import { testCustody } from "../../custody/support.ts";
import { temporaryFolder } from "../../support/sidecar.ts";

/** A container: a PATH with nothing on it, a workspace and a home, and a clock that stands. */
export class Container {
  readonly bin = temporaryFolder();
  readonly workspace = temporaryFolder();
  readonly home = temporaryFolder();
  readonly custody: Custody = testCustody();
  /** Milliseconds. */
  time = 0;

  get env(): NodeJS.ProcessEnv {
    return { PATH: this.bin, HOME: this.home, WORKSPACE_PATH: this.workspace, SLEEVE_NAME: "alice" };
  }

  /** Puts a script for sh on PATH. Each of its starts is counted. */
  install(name: string, script: string): void {
    const path = join(this.bin, name);
    writeFileSync(path, `#!/bin/sh\necho x >> "$0.starts"\nPATH=/usr/bin:/bin\n${script}\n`);
    chmodSync(path, 0o755);
  }

  starts(name: string): number {
    try {
      return readFileSync(join(this.bin, `${name}.starts`), "utf8").split("\n").length - 1;
    } catch {
      // Never started.
      return 0;
    }
  }

  /** A folder in the workspace. */
  makeFolder(name: string): void {
    mkdirSync(join(this.workspace, name));
  }

  /** `timeoutMs`: longer than any script takes that is no test of it. */
  programs(timeoutMs = 20_000, env: NodeJS.ProcessEnv = this.env): Programs {
    return new Programs({ custody: this.custody, env, log: quietLog(), timeoutMs });
  }

  /** Its reports; nobody gives up waiting for one, unless `signal` says so. */
  report(change: Partial<StatusReportParts> = {}) {
    const status = new StatusReport({
      env: this.env,
      custody: this.custody,
      now: () => this.time,
      log: quietLog(),
      programMs: 20_000,
      reportMs: 25_000,
      ...change,
    });
    return { report: (signal = new AbortController().signal) => status.report(signal) };
  }
}

function quietLog() {
  return createLog({ level: "ERROR", write: () => undefined });
}
