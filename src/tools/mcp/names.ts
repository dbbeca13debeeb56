import { createHash } from "node:crypto";

/** What model servers accept as the name of a tool. */
const LONGEST = 64;
const HASH_DIGITS = 8;
/** How much of the beginning stays, however much is cut. */
const SHORTEST_CUT = LONGEST - HASH_DIGITS - 1;

/** What the names of a server's tools begin with. */
export function prefixOf(server: string): string {
  return `mcp__${server}__`;
}

/** Whether a pattern of `useTools`, a name or the beginning of one before a `*`, may name a tool of the server. */
export function mayName(pattern: string, server: string): boolean {
  const prefix = prefixOf(server).slice(0, SHORTEST_CUT);
  if (!pattern.endsWith("*")) return pattern.startsWith(prefix);
  const beginning = pattern.slice(0, -1);
  return beginning.startsWith(prefix) || prefix.startsWith(beginning);
}

/**
 * The names under which the tools of a server are offered, by their own names: `mcp__<server>__<tool>`
 * in the letters that model servers accept. A name that is too long, or that could be taken for another
 * tool's, ends in a hash of the server and the tool instead. It depends on nothing but what this server
 * offers and which servers there are, so that a tool keeps its name when servers come and go. A tool
 * for which even that leaves no name of its own is left out.
 */
export function offeredNames(server: string, tools: readonly string[], otherServers: readonly string[]): Map<string, string> {
  const plain = new Map(tools.map((tool) => [tool, prefixOf(server) + tool.replace(/[^\w-]/g, "_")]));
  const wanted = new Map<string, number>();
  for (const name of plain.values()) wanted.set(name, (wanted.get(name) ?? 0) + 1);
  // "a" with a tool "b__c" and "a__b" with a tool "c" want the same name.
  const foreign = otherServers.map(prefixOf).filter((prefix) => prefix.startsWith(prefixOf(server)));

  const offered = new Map<string, string>();
  const taken = new Set<string>();
  for (const [tool, name] of plain) {
    const exact = name === prefixOf(server) + tool;
    const alone = exact || wanted.get(name) === 1;
    const clear = alone && name.length <= LONGEST && !foreign.some((prefix) => name.startsWith(prefix));
    const final = clear ? name : withHash(name, server, tool);
    if (taken.has(final)) continue;
    taken.add(final);
    offered.set(tool, final);
  }
  return offered;
}

function withHash(name: string, server: string, tool: string): string {
  const hash = createHash("sha256")
    .update(JSON.stringify([server, tool]))
    .digest("hex")
    .slice(0, HASH_DIGITS);
  return `${name.slice(0, SHORTEST_CUT)}_${hash}`;
}
