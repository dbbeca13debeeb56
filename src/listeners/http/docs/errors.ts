/** Errors as a table. */
import type { ErrorFacts, OpenApiDocument } from "../../../generate/openapi/document.ts";
import { breakable, type Html, html } from "./html.ts";

/** Those named in `only`, or all. */
export function errorTable(document: OpenApiDocument, only?: readonly string[]): Html {
  const facts = (document.components.schemas["Error"]?.["x-codes"] ?? []) as readonly ErrorFacts[];
  const rows = facts
    .filter(({ code }) => only === undefined || only.includes(code))
    .map(
      ({ code, status, retryable, message }) =>
        html`<tr><th scope="row"><code>${breakable(code)}</code></th><td><span class="status bad">${status}</span></td><td>${message}.${retryable ? html` <small>May succeed later.</small>` : undefined}</td></tr>`,
    );
  return html`<table class="codes"><thead><tr><th scope="col">Code</th><th scope="col">Status</th><th scope="col">Meaning</th></tr></thead><tbody>${rows}</tbody></table>`;
}
