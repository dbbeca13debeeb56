import { normalizeIP } from "@fastify/rate-limit";

/**
 * The name under which what an address does is counted: an IPv4 address itself, also where it came written
 * as IPv6, and the /64 of an IPv6 address, because whoever has one address of it has all of them.
 */
export function addressGroup(address: string): string {
  return normalizeIP(address, 64);
}
