#!/usr/bin/env node
"use strict";

/**
 * Runs dist/sidecar.js, and the other files of dist/ once something in them is required, each from a V8
 * code cache of its own. A cache that is missing, damaged, of another build or refused by V8 is made anew once the
 * process has been up for a moment; nothing depends on it.
 *
 * A cache file holds everything twice: what V8 made, a text (the name of the file and those of the chunks
 * that had run by then), and the length of the text. V8 does not look for damage, and crashes on what a
 * power cut has left half written. To compare two copies takes a tenth of a millisecond, to add them up
 * in JavaScript several, and to load a module that can do it natively two.
 */
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const dist = path.join(__dirname, "..", "dist");
/** The length at the end of each copy. */
const LENGTH_BYTES = 4;
/** From the first run of a chunk that its cache does not hold until a cache is made. Milliseconds. */
const SETTLES_MS = 5000;
/** The same for what the start alone needs. */
const BOOT_SETTLES_MS = 1000;
/** How long a process is looked at to tell whether it is idle, that is, busy for less than this part of the time. */
const LOOK_MS = 200;
const IDLE = 0.2;
/** After so many looks at a busy process V8 begins to forget what the start compiled. */
const MOST_LOOKS = 50;

/** What ran, by the name of its chunk. */
const modules = new Map();
/** What has to be written at the end of the process at the latest. */
const unsaved = new Set();

// What packages may look at: require.main, require.resolve.
Object.setPrototypeOf(requireChunk, require);
process.once("exit", saveAll);
const boot = openBoot();
/** The other files that were opened, by name. */
const parts = new Map();
requireChunk("./sidecar.js");

/** What chunks have for `require`: other chunks, each run once, and whatever Node finds. */
function requireChunk(name) {
  if (!name.startsWith("./")) return require(name);
  const known = modules.get(name);
  if (known !== undefined) return known.exports;
  const bundle = boot.chunks[name] === undefined ? openPart(boot.homes[name] ?? "app") : boot;
  const run = bundle.chunks[name];
  if (run === undefined) return require(name);
  const module = { exports: {} };
  modules.set(name, module);
  try {
    run(module.exports, requireChunk, module, bundle.file, dist);
  } catch (error) {
    modules.delete(name);
    throw error;
  }
  ran(bundle, name);
  return module.exports;
}

function openBoot() {
  try {
    return open("sidecar");
  } catch (error) {
    process.stderr.write(`steerable-sidecar: ${error.message}\n`);
    process.exit(1);
  }
}

function openPart(name) {
  const known = parts.get(name);
  if (known !== undefined) return known;
  const opened = open(name);
  // They know each other by minified names.
  if (opened.hash !== boot.hash) throw new Error(`dist/${name}.js and dist/sidecar.js are of different builds; run npm run build`);
  parts.set(name, opened);
  return opened;
}

/** A file of dist/, compiled: its chunks, and in the first the file of each that is neither there nor in app.js. ASCII, with the hash of the build in a comment in front. */
function open(name) {
  const file = path.join(dist, `${name}.js`);
  const source = read(file, name);
  const hash = source.slice(2, 18);
  const cacheName = `${name}-${hash}-${process.version}-${process.platform}-${process.arch}${flagsMark()}.cache`;
  const places = [path.join(dist, cacheName), ownCache(cacheName)].filter((place) => place !== "");
  const { script, size, holds } = compile(source, file, places, cacheName);
  return { name, file, hash, cacheName, places, script, ...script.runInThisContext(), size, holds, ran: [] };
}

function read(file, name) {
  try {
    return fs.readFileSync(file, "latin1");
  } catch {
    throw new Error(`dist/${name}.js is missing; run npm run build`);
  }
}

/** From the first cache that V8 takes, which is `size` bytes and holds these chunks; else from the source alone. */
function compile(source, filename, places, cacheName) {
  for (const place of places) {
    const cache = readCache(place, cacheName);
    if (cache === undefined) continue;
    const script = new vm.Script(source, { filename, cachedData: cache.data });
    if (!script.cachedDataRejected) return { script, size: cache.data.length, holds: new Set(cache.chunks) };
  }
  return { script: new vm.Script(source, { filename }), size: 0, holds: new Set() };
}

/** V8 refuses what was made under other flags: hosts that pass different ones must not overwrite each other's for ever. */
function flagsMark() {
  const flags = [...process.execArgv, process.env.NODE_OPTIONS ?? ""].join(" ").trim();
  if (flags === "") return "";
  let sum = 0;
  for (let index = 0; index < flags.length; index++) sum = (Math.imul(sum, 31) + flags.charCodeAt(index)) >>> 0;
  return `-${sum.toString(16)}`;
}

/** Where the cache goes when the package lies in a folder that we may not write. */
function ownCache(cacheName) {
  const home = process.env.XDG_CACHE_HOME || (process.env.HOME && path.join(process.env.HOME, ".cache")) || process.env.LOCALAPPDATA || "";
  return path.isAbsolute(home) ? path.join(home, "steerable-sidecar", cacheName) : "";
}

function readCache(place, cacheName) {
  try {
    const content = fs.readFileSync(place);
    const copy = content.subarray(0, content.length / 2);
    if (!copy.equals(content.subarray(copy.length))) return undefined;
    const textEnd = copy.length - LENGTH_BYTES;
    const dataEnd = textEnd - copy.readUInt32LE(textEnd);
    // A cache that was renamed is as foreign as one that was damaged.
    const [madeFor, ...chunks] = copy.toString("latin1", dataEnd, textEnd).split(" ");
    return madeFor === cacheName ? { data: copy.subarray(0, dataEnd), chunks } : undefined;
  } catch {
    return undefined;
  }
}

/** A cache grows with the chunks that processes run: which model server a host uses shows only later. */
function ran(bundle, name) {
  bundle.ran.push(name);
  if (bundle.holds.has(name) || unsaved.has(bundle)) return;
  unsaved.add(bundle);
  setTimeout(() => whenIdle(() => save(bundle), MOST_LOOKS), bundle === boot ? BOOT_SETTLES_MS : SETTLES_MS).unref();
}

/** Making a cache of a large file keeps the process from all else for some milliseconds. */
function whenIdle(act, looks) {
  const before = performance.eventLoopUtilization();
  setTimeout(() => {
    const { utilization } = performance.eventLoopUtilization(before);
    if (utilization < IDLE || looks === 0) act();
    else whenIdle(act, looks - 1);
  }, LOOK_MS).unref();
}

function saveAll() {
  for (const bundle of unsaved) save(bundle);
}

function save(bundle) {
  if (!unsaved.delete(bundle) || !serves()) return;
  const data = bundle.script.createCachedData();
  bundle.holds = new Set([...bundle.holds, ...bundle.ran]);
  // V8 forgets functions that ran long ago: a cache that shrinks is none that grew.
  if (data.length <= bundle.size) return;
  bundle.size = data.length;
  const text = Buffer.from([bundle.cacheName, ...bundle.holds].join(" "), "latin1");
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(text.length);
  const content = Buffer.concat([data, text, length, data, text, length]);
  bundle.places.some((place) => write(place, content));
}

/** Whether this is more than a run that printed its version or refused a flag: such a run compiles too little to be kept. */
function serves() {
  return process.listenerCount("SIGTERM") > 0;
}

/** Whole or not at all: another process may read it at this moment. */
function write(place, content) {
  const draft = `${place}.${process.pid}`;
  try {
    fs.mkdirSync(path.dirname(place), { recursive: true, mode: 0o700 });
    fs.writeFileSync(draft, content, { mode: 0o600 });
    fs.renameSync(draft, place);
    return true;
  } catch {
    fs.rmSync(draft, { force: true });
    return false;
  }
}
