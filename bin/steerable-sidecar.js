#!/usr/bin/env node
"use strict";

/**
 * Runs dist/sidecar.js from a V8 code cache. A cache that is missing, of another Node version or
 * refused by V8 is made anew once the process has been up for a moment; nothing depends on it.
 */
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const bundle = path.join(__dirname, "..", "dist", "sidecar.js");
const source = fs.readFileSync(bundle, "latin1");
const build = source.slice(2, 18);
const name = `sidecar-${build}-${process.version}-${process.arch}.cache`;

const beside = path.join(path.dirname(bundle), name);
const cachedData = read(beside) ?? read(ownCache());
const script = new vm.Script(source, { filename: bundle, cachedData });
script.runInThisContext()(exports, require, module, bundle, path.dirname(bundle));
if (cachedData === undefined || script.cachedDataRejected) remember();

function read(file) {
  try {
    return fs.readFileSync(file);
  } catch {
    return undefined;
  }
}

/** Where the cache goes when the package lies in a folder that we may not write. */
function ownCache() {
  const home = process.env.XDG_CACHE_HOME || (process.env.HOME && path.join(process.env.HOME, ".cache")) || process.env.LOCALAPPDATA;
  return home ? path.join(home, "steerable-sidecar", name) : "";
}

/** Writes the cache when the start is over: at the end of the process, or after a second. */
function remember() {
  let done = false;
  const write = () => {
    if (done) return;
    done = true;
    const data = script.createCachedData();
    for (const file of [beside, ownCache()]) if (file !== "" && save(file, data)) return;
  };
  setTimeout(write, 1000).unref();
  process.once("exit", write);
}

/** Whole or not at all: another process may read it at this moment. */
function save(file, data) {
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const draft = `${file}.${process.pid}`;
    fs.writeFileSync(draft, data, { mode: 0o600 });
    fs.renameSync(draft, file);
    return true;
  } catch {
    return false;
  }
}
