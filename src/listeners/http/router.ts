import type { RawRoute, RouteEntry } from "../../contract/http/define.ts";

/** What hooks know a route by. */
export type AnyRoute = RouteEntry | RawRoute;

declare module "fastify" {
  interface FastifyContextConfig {
    /** Absent where nothing of ours is asked for. */
    entry?: AnyRoute;
  }
}

/** `/v1/sessions/{id}` in the words of the router. */
export function routerPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, ":$1");
}
