import { defaults } from "../contract/defaults.ts";
import { rawRoutes, routes } from "../contract/http/index.ts";
import { VERSION } from "../version.ts";
import { openApiDocument } from "./openapi.ts";
import { protocolDocument } from "./protocol.ts";
import { configSchema, schemaBundle } from "./schema.ts";

/**
 * Every generated file: its path from the root of the package, and its text. `chapters` are the
 * hand-written parts of protocol.md in their order, see `protocolDocument`.
 */
export function generatedFiles(chapters: readonly string[]): Map<string, string> {
  return new Map([
    ["protocol.md", protocolDocument(chapters)],
    ["schema/steerable-sidecar.schema.json", jsonFile(schemaBundle())],
    ["schema/config.schema.json", jsonFile(configSchema())],
    ["schema/openapi.json", jsonFile(openApiDocument({ routes, rawRoutes: Object.values(rawRoutes), version: VERSION, serverUrl }))],
  ]);
}

/** Where the listener is, unless it is told otherwise. */
const serverUrl = `http://${defaults.api.listen_addr}`;

function jsonFile(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
