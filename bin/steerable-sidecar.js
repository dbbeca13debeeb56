#!/usr/bin/env node
"use strict";

/**
 * Runs dist/sidecar.js from a V8 code cache. A cache that is missing, damaged, of another Node
 * version or refused by V8 is made anew once the process has been up for a moment; nothing depends
 * on it.
 */
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

/** Ends every cache file, so that V8 is never given one that a power cut has left half written: it would crash. */
const CHECKSUM_BYTES = 4;

const bundle = path.join(__dirname, "..", "dist", "sidecar.js");
run(readBundle());

function run(source) {
  const name = `sidecar-${source.slice(2, 18)}-${process.version}-${process.arch}.cache`;
  const places = [path.join(path.dirname(bundle), name), ownCache(name)];
  const cachedData = readCache(places[0]) ?? readCache(places[1]);
  const script = new vm.Script(source, { filename: bundle, cachedData });
  script.runInThisContext()(exports, require, module, bundle, path.dirname(bundle));
  if (cachedData === undefined || script.cachedDataRejected) remember(script, places);
}

/** The bundle is ASCII, and begins with the hash of its content in a comment. */
function readBundle() {
  try {
    return fs.readFileSync(bundle, "latin1");
  } catch {
    process.stderr.write("steerable-sidecar: dist/sidecar.js is missing; run npm run build\n");
    process.exit(1);
  }
}

/** Where the cache goes when the package lies in a folder that we may not write. */
function ownCache(name) {
  const home = process.env.XDG_CACHE_HOME || (process.env.HOME && path.join(process.env.HOME, ".cache")) || process.env.LOCALAPPDATA;
  return home ? path.join(home, "steerable-sidecar", name) : "";
}

function readCache(file) {
  try {
    const content = fs.readFileSync(file);
    const data = content.subarray(0, -CHECKSUM_BYTES);
    return content.length > CHECKSUM_BYTES && checksum(data) === content.readInt32LE(data.length) ? data : undefined;
  } catch {
    return undefined;
  }
}

/** Over words, because bytes would take four times as long; V8 looks at the length itself. */
function checksum(data) {
  const words = new Int32Array(data.buffer, data.byteOffset, data.length >> 2);
  let sum = words.length;
  for (let index = 0; index < words.length; index++) sum = (Math.imul(sum, 31) + words[index]) | 0;
  return sum;
}

/** Writes the cache when the start is over: at the end of the process, or after a second. */
function remember(script, places) {
  let done = false;
  const write = () => {
    if (done) return;
    done = true;
    const data = script.createCachedData();
    const content = Buffer.alloc(data.length + CHECKSUM_BYTES);
    data.copy(content);
    content.writeInt32LE(checksum(content.subarray(0, data.length)), data.length);
    places.some((file) => file !== "" && save(file, content));
  };
  setTimeout(write, 1000).unref();
  process.once("exit", write);
}

/** Whole or not at all: another process may read it at this moment. */
function save(file, content) {
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const draft = `${file}.${process.pid}`;
    fs.writeFileSync(draft, content, { mode: 0o600 });
    fs.renameSync(draft, file);
    return true;
  } catch {
    return false;
  }
}
