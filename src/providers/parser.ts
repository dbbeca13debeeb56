import { setFlagsFromString } from "node:v8";
import connectH1 from "undici/lib/dispatcher/client-h1.js";

/**
 * Compiles undici's HTTP parser, which is WebAssembly, with V8's quick compiler only.
 *
 * Left alone, V8 optimizes the parser while the first long answers stream in, and its one huge
 * function takes up to 36 MB of memory just then; what that gains is paid back after some millions
 * of deltas. undici compiles it when the first connection has come about, so this has to be called
 * before. Later calls return at once.
 */
export function compileParser(): void {
  if (isCompiled) return;
  isCompiled = true;
  for (const flag of tiers) setFlagsFromString(`--no-${flag}`);
  try {
    connectH1({}, { destroyed: true });
  } catch {
    // undici compiles its parser first, and only then finds that this connection is of no use.
  } finally {
    // V8 refuses code caches that were made under other flags, so they have to be what they were.
    for (const flag of tiers) setFlagsFromString(`--${flag}`);
  }
}

/** Flags that are on by default. The last would put compiling off until the others are on again. */
const tiers = ["wasm-tier-up", "wasm-dynamic-tiering", "wasm-lazy-compilation"];
let isCompiled = false;
