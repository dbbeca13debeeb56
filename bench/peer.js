/** Child processes that are spoken to over stdin and stdout, and never outlive the bench. */
import { spawn } from "node:child_process";
import { once } from "node:events";

/** Longest wait for anything; only a bench that hangs takes this long. */
const PATIENCE_MS = 120_000;
const NEWLINE = 10;

/** @type {Set<Peer>} */
const alive = new Set();

process.on("exit", () => {
  for (const peer of alive) peer.child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

/** Ends every process that was started and is still there. */
export async function endAll() {
  await Promise.all([...alive].map((peer) => peer.kill()));
}

/**
 * What a measured process gets of our environment: nothing that changes how Node starts (extra
 * certificates alone cost 38 ms on Node 20), and nothing that configures a sidecar.
 */
export function cleanEnvironment() {
  const unwanted = /^(NODE_|STEERABLE_|OPENAI_|ANTHROPIC_|https?_proxy$|all_proxy$|no_proxy$)/i;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !unwanted.test(name)));
}

/** A Node process and its pipes. */
export class Peer {
  /** @param {string[]} args Of node. */
  constructor(args) {
    this.child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "pipe"], env: cleanEnvironment() });
    this.stderr = "";
    this.child.stderr.setEncoding("utf8").on("data", (text) => {
      this.stderr = (this.stderr + text).slice(-4000);
    });
    // A process that dies tells so by its exit.
    this.child.stdin.on("error", () => undefined);
    this.exited = once(this.child, "exit");
    alive.add(this);
    void this.exited.finally(() => alive.delete(this));
  }

  get pid() {
    return this.child.pid;
  }

  /**
   * Takes stdout as it comes until `isEnough` returns true for a piece; resolves with all pieces. To be
   * called before what is answered is sent: what comes at other times is lost. Nothing is looked at that `isEnough` does not look at: on a
   * small machine the reader competes with what is measured.
   *
   * @param {(piece: Buffer) => boolean} isEnough
   * @returns {Promise<Buffer[]>}
   */
  collect(isEnough) {
    const { stdout } = this.child;
    const pieces = [];
    return this.#within("output", (resolve) => {
      const take = (piece) => {
        pieces.push(piece);
        if (isEnough(piece)) resolve(pieces);
      };
      stdout.on("data", take).resume();
      return () => stdout.off("data", take);
    });
  }

  /** The next `count` lines. */
  async lines(count) {
    const pieces = await this.collect(countdown(count));
    return Buffer.concat(pieces).toString("utf8").split("\n").slice(0, count);
  }

  /** Writes the pieces one after the other, as fast as they are taken. */
  async write(pieces) {
    const { stdin } = this.child;
    for (const piece of pieces) {
      if (stdin.write(piece)) continue;
      await this.#within("its input to be read", (resolve) => {
        stdin.once("drain", resolve);
        return () => stdin.off("drain", resolve);
      });
    }
  }

  /** Resolves when the process has ended by itself. */
  async ended() {
    await this.#within("its exit", (resolve) => {
      this.child.once("exit", resolve);
      return () => undefined;
    });
  }

  async kill() {
    this.child.kill("SIGKILL");
    await this.exited;
  }

  /** Waits for what `start` arranges; fails when the process ends first, or it takes too long. `start` returns how to stop waiting. */
  async #within(what, start) {
    if (this.child.exitCode !== null || this.child.signalCode !== null) {
      if (what === "its exit") return undefined;
      throw new Error(`the process had ended: ${this.stderr}`);
    }
    let stop;
    let timer;
    let onExit;
    try {
      return await new Promise((resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`waited ${PATIENCE_MS} ms for ${what}; stderr: ${this.stderr}`)), PATIENCE_MS);
        stop = start(resolve);
        onExit = (code, signal) => reject(new Error(`the process ended (${code ?? signal}) before ${what}; stderr: ${this.stderr}`));
        this.child.once("exit", onExit);
      });
    } finally {
      clearTimeout(timer);
      this.child.off("exit", onExit);
      stop?.();
    }
  }
}

/** Returns true with the piece that holds the last of `count` newlines. */
export function countdown(count) {
  let left = count;
  return (piece) => {
    for (let at = piece.indexOf(NEWLINE); at !== -1; at = piece.indexOf(NEWLINE, at + 1)) left--;
    return left <= 0;
  };
}
