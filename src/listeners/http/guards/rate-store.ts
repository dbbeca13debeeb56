import type { FastifyRateLimitStore, FastifyRateLimitStoreCtor } from "@fastify/rate-limit";
import { MINUTE_MS, RateLimiter } from "./rates.ts";

/**
 * The sliding window as the `store` of `@fastify/rate-limit`. Each store, and each child of it, counts on its
 * own, as those of the plugin do.
 *
 * The plugin knows a request that is refused by a count above its `max`, and tells the client `ttl` in
 * `Retry-After` and `X-RateLimit-Reset`, in seconds rounded up. Here `ttl` is the time until the oldest
 * request stops counting: at once the wait of one that is refused, and when one that is let through gets its
 * place back. One that is refused counts as `max + 1`, however many there were before, so the plugin's
 * `ban` has nothing to go by.
 *
 * A store serves one `max`, and `timeWindow` has to be a minute; anything else is an error of the request.
 */
export function createRateStore(options: { now: () => number; mostTracked?: number }): FastifyRateLimitStoreCtor {
  return class RateStore implements FastifyRateLimitStore {
    #limiter: { max: number; take: RateLimiter["take"] } | undefined;

    incr(key: string, callback: (error: Error | null, result?: { current: number; ttl: number }) => void, timeWindow: number, max: number): void {
      if (timeWindow !== MINUTE_MS || (this.#limiter !== undefined && this.#limiter.max !== max)) {
        callback(new Error("The rate limit has one number of requests for each minute"));
        return;
      }
      this.#limiter ??= limiterOf(max, options);
      const taken = this.#limiter.take(key);
      callback(null, taken.ok ? { current: max - taken.remaining, ttl: taken.resetMs } : { current: max + 1, ttl: taken.retryAfterMs });
    }

    child(): FastifyRateLimitStore {
      return new RateStore();
    }
  };
}

function limiterOf(max: number, options: { now: () => number; mostTracked?: number }) {
  const limiter = new RateLimiter({ ...options, perMinute: max });
  return { max, take: (name: string) => limiter.take(name) };
}
