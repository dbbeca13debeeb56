/** The routes of the HTTP listener for protocol.md: what there is, not the shapes, which `schema/openapi.json` has. */
import type { Surface } from "../contract/http/define.ts";
import { linkTo, table } from "./markdown.ts";
import type { OperationFacts } from "./openapi/facts.ts";
import { surfaces } from "./openapi/surfaces.ts";
import { operations } from "./operations.ts";

/** A table for each surface. */
export function routeTables(): string {
  const tableOf = (surface: Surface) =>
    table(
      ["Request", "What it does", "Method", "Scope"],
      operations
        .filter((operation) => operation.surface === surface)
        .map((operation) => [
          `\`${operation.verb} ${operation.path}\``,
          operation.summary,
          operation.method === undefined ? "" : linkTo(operation.method),
          scopeText(operation),
        ]),
    );
  return Object.entries(surfaces)
    .map(([surface, { name, description }]) => `**${name}.** ${description}\n\n${tableOf(surface as Surface)}`)
    .join("\n\n");
}

function scopeText({ scope, isOpen, publicAs }: OperationFacts): string {
  if (isOpen) return "open";
  const needed = scope === undefined ? "any key" : `\`${scope}\``;
  return publicAs === undefined ? needed : `${needed}; open with \`api.public: [${publicAs}]\``;
}
