/** Who is behind a request: the key of its `Authorization` header, checked so that guessing costs us little. */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { type Caller, HOST, SCOPES, type Scope } from "../../../contract/caller.ts";
import type { Log } from "../../../log.ts";
import { addressGroup } from "./addresses.ts";
import { bearerKey } from "./bearer.ts";
import { RateLimiter } from "./rates.ts";
import { Recent } from "./recent.ts";
import { SecondChances } from "./second-chances.ts";
import { type Found, Verifier, type Verify } from "./verifier.ts";

/** `challenge` is the value of `WWW-Authenticate`. */
export interface Refusal {
  refused: "unauthorized" | "rate_limited" | "overloaded";
  challenge?: string;
  retryAfterMs?: number;
}

export type Verdict = { caller: Caller } | Refusal;

export interface Authenticator {
  /** `header` is that of `Authorization`, `address` that of the peer. Rejects only when argon2 cannot be loaded. */
  authenticate(header: string | undefined, address: string): Verdict | Promise<Verdict>;
}

/** As `api.auth.keys` holds it. */
export interface KeyEntry {
  readonly subject: string;
  readonly key_hash: string;
  readonly scopes: readonly (Scope | "*")[];
}

export interface AuthenticatorOptions {
  mode: "StaticKeys" | "Disabled";
  keys: readonly KeyEntry[];
  /** A key in plain text that stands for the host itself. Only its digest is kept. */
  token?: string | undefined;
  /** Milliseconds of a clock that never goes back, as `performance.now`. */
  now: () => number;
  log: Log;
  /** Argon2 when left out. */
  verify?: Verify;
}

/**
 * The one who decides. In this order, the cheap before the dear:
 *
 * 1. A header that is not `Bearer <key>` is refused. It is no guess, so it is not counted.
 * 2. The token, and keys that were good within the last five minutes, always pass, whatever else comes from
 *    their address: whoever guesses must not shut out those who know.
 * 3. Keys that were wrong within the last minute are wrong.
 * 4. An address with 20 wrong keys in a minute is told to wait. A key that nobody knows yet has its way in
 *    even then: see `SecondChances`.
 * 5. Argon2 decides, once for all requests that bring the same key at the same time.
 *
 * A key counts as a guess when its check begins, and no longer when it turns out to be good: otherwise a
 * thousand keys at once would all be checked before the first is known to be wrong.
 *
 * The token is compared with every request, so that its strength against guessing is its length.
 */
export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  return options.mode === "Disabled" ? { authenticate: () => ({ caller: ANYONE }) } : new StaticKeys(options);
}

/** Who comes in where keys are off. */
const ANYONE: Caller = { subject: "anonymous", scopes: new Set(SCOPES) };

const CHALLENGE = 'Bearer realm="steerable-sidecar"';
const WRONG_PER_MINUTE = 20;
const OVERLOADED: Refusal = { refused: "overloaded", retryAfterMs: 1_000 };

interface Entry {
  readonly hash: string;
  readonly caller: Caller;
}

class StaticKeys implements Authenticator {
  readonly #log: Log;
  readonly #hasKeys: boolean;
  readonly #token: Buffer | undefined;
  readonly #verifier: Verifier<Entry>;
  /** A digest by a secret of this process is of no use elsewhere, and how long a look-up takes tells nothing about the key. */
  readonly #secret = randomBytes(32);
  readonly #good: Recent<Caller>;
  readonly #wrong: Recent<true>;
  readonly #guesses: RateLimiter;
  readonly #chances: SecondChances;
  readonly #told: Recent<true>;
  readonly #running = new Map<string, Promise<Found<Entry>>>();

  constructor({ keys, token, now, log, verify }: AuthenticatorOptions) {
    const entries = keys.map(({ subject, key_hash, scopes }) => ({ hash: key_hash, caller: { subject, scopes: scopesOf(scopes) } }));
    this.#log = log;
    this.#hasKeys = keys.length > 0;
    this.#token = token === undefined ? undefined : this.#digest(token);
    this.#verifier = new Verifier({ entries, hashOf: ({ hash }) => hash, nameOf: ({ caller }) => caller.subject, now, log, ...(verify && { verify }) });
    this.#good = new Recent({ lifeMs: 300_000, most: 1_000, now });
    this.#wrong = new Recent({ lifeMs: 60_000, most: 1_000, now });
    this.#guesses = new RateLimiter({ perMinute: WRONG_PER_MINUTE, now });
    this.#chances = new SecondChances(now);
    this.#told = new Recent({ lifeMs: 60_000, most: 1_000, now });
  }

  authenticate(header: string | undefined, address: string): Verdict | Promise<Verdict> {
    const key = bearerKey(header);
    if (key === undefined) return { refused: "unauthorized", challenge: CHALLENGE };
    const bytes = this.#digest(key);
    if (this.#token !== undefined && timingSafeEqual(bytes, this.#token)) return { caller: HOST };

    const digest = bytes.toString("base64");
    const caller = this.#good.get(digest);
    if (caller !== undefined) {
      this.#good.set(digest, caller);
      return { caller };
    }
    const group = addressGroup(address);
    const running = this.#running.get(digest);
    // Whoever joins a check makes no work, so it is not stopped by the limit; a wrong key counts when it is known to be.
    if (running !== undefined) return running.then((found) => verdict(found, () => this.#countGuess(group)));
    if (!this.#hasKeys || this.#wrong.get(digest)) return this.#countGuess(group);

    const guess = this.#guesses.take(group);
    if (!guess.ok) {
      const retryAfterMs = this.#chances.ask(group, digest);
      if (retryAfterMs > 0) return this.#limited(group, retryAfterMs);
    }
    return this.#check(key, digest, () => guess.ok && this.#guesses.giveBack(group, guess.at));
  }

  async #check(key: string, digest: string, wasNoGuess: () => void): Promise<Verdict> {
    const running = this.#verifier.find(key);
    this.#running.set(digest, running);
    let isWrong = false;
    try {
      const found = await running;
      isWrong = found === "none";
      if (isWrong) this.#wrong.set(digest, true);
      if (typeof found === "object") this.#good.set(digest, found.entry.caller);
      return verdict(found, wrongKey);
    } finally {
      this.#running.delete(digest);
      if (!isWrong) wasNoGuess();
    }
  }

  #countGuess(group: string): Refusal {
    const taken = this.#guesses.take(group);
    return taken.ok ? wrongKey() : this.#limited(group, taken.retryAfterMs);
  }

  #limited(group: string, retryAfterMs: number): Refusal {
    if (!this.#told.get(group)) this.#log.warn({ address: group }, "Too many wrong keys from one address: it has to wait");
    this.#told.set(group, true);
    return { refused: "rate_limited", retryAfterMs };
  }

  #digest(key: string): Buffer {
    return createHmac("sha256", this.#secret).update(key).digest();
  }
}

function verdict(found: Found<Entry>, wrong: () => Refusal): Verdict {
  if (found === "overloaded") return OVERLOADED;
  return found === "none" ? wrong() : { caller: found.entry.caller };
}

function wrongKey(): Refusal {
  return { refused: "unauthorized", challenge: `${CHALLENGE}, error="invalid_token"` };
}

function scopesOf(scopes: readonly (Scope | "*")[]): ReadonlySet<Scope> {
  return new Set(scopes.flatMap((scope) => (scope === "*" ? SCOPES : [scope])));
}
