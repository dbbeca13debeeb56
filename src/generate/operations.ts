import { rawRoutes, routes } from "../contract/http/index.ts";
import { factsOf, factsOfRaw, type OperationFacts } from "./openapi/facts.ts";

/** Every route of the HTTP listener, in the order of the documentation. */
export const operations: readonly OperationFacts[] = [...routes.map(factsOf), ...Object.values(rawRoutes).map(factsOfRaw)];
