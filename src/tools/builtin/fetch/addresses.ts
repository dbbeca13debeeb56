import { BlockList, isIPv4, isIPv6 } from "node:net";

/**
 * Whether an IP address belongs to the public internet: false for this machine, for private and
 * link-local networks, for everything reserved, and for addresses that carry such an IPv4 address
 * inside. False for what is no address.
 */
export function isPublic(address: string): boolean {
  if (isIPv4(address)) return !reserved4.check(address, "ipv4");
  if (!isIPv6(address) || address.includes("%")) return false;
  const groups = groupsOf(address);
  const inner = embedded(groups);
  if (inner !== undefined) return isPublic(inner);
  return global6.check(address, "ipv6") && !reserved6.check(address, "ipv6");
}

/** Whether a name of a URL is local by its form, whatever it may resolve to. */
export function isLocalName(hostname: string): boolean {
  return /(?:^|\.)(?:localhost|local|internal|home\.arpa)\.*$/i.test(hostname);
}

// The registries of special addresses of IANA: whatever they do not call globally reachable.
const reserved4 = blockList("ipv4", [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
]);
const global6 = blockList("ipv6", [["2000::", 3]]);
const reserved6 = blockList("ipv6", [
  // Protocols, among them Teredo, which carries IPv4 addresses.
  ["2001::", 23],
  ["2001:db8::", 32],
  ["3fff::", 20],
]);

function blockList(family: "ipv4" | "ipv6", subnets: readonly [string, number][]): BlockList {
  const list = new BlockList();
  for (const [net, prefix] of subnets) list.addSubnet(net, prefix, family);
  return list;
}

/** The IPv4 address that packets to this IPv6 address end at: mapped, NAT64 or 6to4. */
function embedded(groups: readonly number[]): string | undefined {
  const [first, second, third] = groups;
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  const isNat64 = first === 0x64 && second === 0xff9b && groups.slice(2, 6).every((group) => group === 0);
  if (isMapped || isNat64) return dotted(groups[6], groups[7]);
  return first === 0x2002 ? dotted(second, third) : undefined;
}

function dotted(high = 0, low = 0): string {
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join(".");
}

/** The eight groups of an IPv6 address, which the URL parser writes in hexadecimal. */
function groupsOf(address: string): number[] {
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const numbers = (text: string) => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));
  if (tail === undefined) return numbers(head);
  const [start, end] = [numbers(head), numbers(tail)];
  return [...start, ...Array.from({ length: 8 - start.length - end.length }, () => 0), ...end];
}
