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
  ]);
}

function jsonFile(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
