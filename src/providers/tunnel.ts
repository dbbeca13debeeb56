/**
 * The parts of undici for proxies, loaded when one is configured. `connect` is a method that the
 * package's index hangs onto its classes; imported by file, they come without it.
 */
export { default as connect } from "undici/lib/api/api-connect.js";
export { default as Pool } from "undici/lib/dispatcher/pool.js";
export { default as ProxyAgent } from "undici/lib/dispatcher/proxy-agent.js";
