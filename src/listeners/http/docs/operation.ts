/** One operation of the documentation: closed, a line that says what it does; open, all there is to know. */
import type { Media, OpenApiDocument, Operation, Parameter, Reference, Response } from "../../../generate/openapi/document.ts";
import { JSON_TYPE, STREAM_TYPE } from "../../../generate/openapi/facts.ts";
import { componentName } from "../../../generate/openapi/schemas.ts";
import { type Command, curl } from "./curl.ts";
import { errorTable } from "./errors.ts";
import { breakable, type Html, html, inline, markdown } from "./html.ts";
import { eventStream, json } from "./json.ts";
import { type Direction, needMark, schemaText, typeText } from "./schema.ts";

export interface Place {
  /** `GET` */
  verb: string;
  path: string;
  operation: Operation;
}

/** `base` is the address of the server, for commands. */
export function operationSection({ verb, path, operation }: Place, document: OpenApiDocument, base: string): Html {
  const { operationId, summary, description, parameters = [], requestBody, responses } = operation;
  const command: Command = { verb, path, operation, body: requestBody?.content[JSON_TYPE]?.example, isStream: false };
  return html`
<details class="op" id="${operationId}" data-text="${`${verb} ${path} ${summary} ${operation["x-method"] ?? ""}`.toLowerCase()}">
<summary><span class="verb ${verb.toLowerCase()}">${verb}</span> <span class="path">${breakable(path)}</span> <span class="what">${inline(summary)}</span>${scopeMark(operation)}</summary>
<div class="body">
${markdown(description === summary ? "" : description.replace(`${summary}\n\n`, ""))}
${commandBlock(command, base)}
${parameterTable(parameters)}
${requestBody === undefined ? undefined : bodySection(requestBody, document)}
${Object.entries(responses).map(([status, response]) => answerSection(status, response, command, document, base))}
<h3>Errors</h3>
${errorsOf(operation, document)}
</div>
</details>`;
}

function scopeMark({ security, "x-scope": scope, "x-public": publicAs }: Operation): Html {
  const need = security?.length === 0 ? "no key" : (scope ?? "any key");
  return html` <span class="scope ${security?.length === 0 ? "open" : ""}">${need}${publicAs === undefined ? undefined : " *"}</span>`;
}

function commandBlock(command: Command, base: string): Html {
  const { before, after } = curl(command);
  return html`<div class="command"><pre tabindex="0"><code>${before}<span class="base">${base}</span>${after}</code></pre><button type="button" class="copy" hidden>Copy</button></div>`;
}

function parameterTable(parameters: readonly Parameter[]): Html | undefined {
  if (parameters.length === 0) return undefined;
  const rows = parameters.map(
    ({ name, in: place, required, description = "", schema }) =>
      html`<tr><th scope="row"><code>${breakable(name)}</code>${needMark(required, "sent")}<span>in the ${place}; ${typeText(schema)}</span></th><td>${inline(description)}</td></tr>`,
  );
  return html`<h3>Parameters</h3><table><thead><tr><th scope="col">Parameter</th><th scope="col">Meaning</th></tr></thead><tbody>${rows}</tbody></table>`;
}

function bodySection({ required, content }: NonNullable<Operation["requestBody"]>, document: OpenApiDocument): Html {
  const parts = Object.entries(content).map(([type, media]) => mediaText(type, media, document, "sent"));
  return html`<h3>Body${required ? undefined : html` <small>may be left out</small>`}</h3>${parts}`;
}

/** An answer when it went well. Errors have a table of their own. */
function answerSection(status: string, response: Response | Reference, command: Command, document: OpenApiDocument, base: string): Html | undefined {
  if ("$ref" in response || Number(status) >= 400) return undefined;
  const { description, content = {} } = response;
  const parts = Object.entries(content).map(([type, media]) => {
    const events = media["x-events"];
    return events === undefined ? mediaText(type, media, document, "read") : eventsSection(events, media.example, command, document, base);
  });
  return html`<h3>Answer <span class="status">${status}</span> <small>${description}</small></h3>${parts}`;
}

function mediaText(type: string, { schema, example }: Media, document: OpenApiDocument, direction: Direction): Html {
  return html`<p class="media"><code>${type}</code></p>${schemaText(schema, document.components.schemas, direction)}${example === undefined ? undefined : html`<pre tabindex="0"><code>${json(example)}</code></pre>`}`;
}

function eventsSection(events: NonNullable<Media["x-events"]>, example: unknown, command: Command, document: OpenApiDocument, base: string): Html {
  const parts = Object.entries(events).map(
    ([name, data]) =>
      html`<dt>${name === "*" ? "any event" : html`<code>${name}</code>`}</dt><dd>${schemaText(data, document.components.schemas, "read")}</dd>`,
  );
  return html`<p class="media"><code>${STREAM_TYPE}</code></p>
${commandBlock({ ...command, ...asStream(command, document) }, base)}
<dl>${parts}</dl>${typeof example === "string" ? html`<pre tabindex="0"><code>${eventStream(example.trimEnd())}</code></pre>` : undefined}`;
}

/** The same request as one for a stream: by its body, where that has a word for it. */
function asStream({ operation, body }: Command, { components }: OpenApiDocument): Partial<Command> {
  const schema = operation.requestBody?.content[JSON_TYPE]?.schema ?? {};
  const name = componentName(schema);
  const { properties = {} } = name === undefined ? schema : (components.schemas[name] ?? {});
  const saysSo = "stream" in properties && typeof body === "object" && body !== null;
  return { isStream: true, ...(saysSo ? { body: { ...body, stream: true } } : {}) };
}

function errorsOf({ responses, "x-errors": own }: Operation, document: OpenApiDocument): Html {
  const statuses = Object.keys(responses).filter((status) => Number(status) >= 400);
  return html`${own.length === 0 ? undefined : errorTable(document, own)}<p>${own.length === 0 ? "Only" : "And"} <a href="#errors">those of any request</a>. Statuses: ${statuses.join(", ")}.</p>`;
}
