import { expect } from "vitest";
import { type AuthenticatorOptions, createAuthenticator } from "../../../../src/listeners/http/guards/keys.ts";
import { makeClock, quiet } from "./setup.ts";

export const CHALLENGE = 'Bearer realm="steerable-sidecar"';
export const unauthorized = { refused: "unauthorized", challenge: `${CHALLENGE}, error="invalid_token"` };

/** Of argon2, for tests that need no strength. */
export const cheap = { memoryCost: 8, timeCost: 1 };

/** An authenticator whose hashes are the keys themselves, with a count of the comparisons. */
export function makeAuthenticator({ keys = ["alice"], ...options }: { keys?: string[] } & Partial<Omit<AuthenticatorOptions, "keys">> = {}) {
  const clock = makeClock();
  const compared: string[] = [];
  const authenticator = createAuthenticator({
    mode: "StaticKeys",
    keys: keys.map((key) => ({ subject: key, key_hash: `key-of-${key}`, scopes: ["read"] })),
    now: clock.now,
    log: quiet,
    verify: async (hashed, key) => {
      compared.push(key);
      await new Promise(setImmediate);
      return hashed === key;
    },
    ...options,
  });
  const ask = async (key: string, address = "127.0.0.1") => authenticator.authenticate(`Bearer ${key}`, address);
  return { authenticator, ask, clock, compared };
}

/** An authenticator whose comparisons end when they are told to. */
export function makeHeld() {
  const held: { key: string; end(fits: boolean): void }[] = [];
  const parts = makeAuthenticator({ verify: (_, key) => new Promise((end) => held.push({ key, end })) });
  return { ...parts, held };
}

/** What was on its way has arrived. */
export const settled = () => new Promise(setImmediate);

/** Wrong keys until the address is limited. */
export async function useUp(ask: (key: string, address?: string) => Promise<unknown>, address?: string) {
  for (let at = 0; at < 20; at++) expect(await ask(`wrong-${at}`, address)).toEqual(unauthorized);
}
