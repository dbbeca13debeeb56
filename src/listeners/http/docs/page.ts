/** The documentation for people: one page that needs nothing from elsewhere and works without its script. */
import { createHash } from "node:crypto";
import { defaults } from "../../../contract/defaults.ts";
import type { OpenApiDocument } from "../../../generate/openapi/document.ts";
import { errorTable } from "./errors.ts";
import { breakable, type Html, html, inline, markdown } from "./html.ts";
import { operationSection, type Place } from "./operation.ts";
import { schemaAnchor, schemaText } from "./schema.ts";
import { script } from "./script.ts";
import { style } from "./style.ts";

/** For the header `Content-Security-Policy`: nothing but this style, this script and the icon in the page itself. */
export const docsPolicy = [
  "default-src 'none'",
  `style-src '${digest(style)}'`,
  `script-src '${digest(script)}'`,
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

export function docsPage(document: OpenApiDocument): string {
  const { info, components } = document;
  const [server] = document.servers;
  // A page that does not know its server is told by the browser.
  const isRelative = server === undefined || server.url.startsWith("/");
  const base = isRelative ? `http://${defaults.api.listen_addr}` : server.url.replace(/\/$/, "");
  const groups = groupsOf(document);
  const page = html`<!doctype html>
<html lang="en"${isRelative ? html` data-here` : undefined}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${info.title} ${info.version}: HTTP</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%232f6feb'/%3E%3Cpath d='M4 5l3 3-3 3M8.5 11H12' stroke='%23fff' stroke-width='1.6' fill='none'/%3E%3C/svg%3E">
<style>${style}</style>
</head>
<body>
<a class="skip" href="#main">To the content</a>
<header>
<h1>${info.title} <small>${info.version}</small></h1>
${document.paths["/openapi.json"] === undefined ? undefined : html`<a href="openapi.json">OpenAPI ${document.openapi}</a>`}
</header>
<nav aria-label="Operations">
<input type="search" id="filter" placeholder="Filter ( / )" aria-label="Filter operations" aria-keyshortcuts="/" autocomplete="off" hidden>
${groups.map(({ name, places }) => navigation(name, places))}
<section><h2><a href="#errors">Errors</a></h2></section>
<section><h2><a href="#shapes">Shapes</a></h2></section>
</nav>
<main id="main">
<section class="intro">
${markdown(info.description)}
${Object.values(components.securitySchemes).map(({ description }) => markdown(description))}
<p class="tools"><button type="button" id="unfold" hidden>Open all</button> <span id="found" role="status"></span></p>
</section>
${groups.map(({ name, description, places }) => surface(name, description, places, document, base))}
<section class="reference"><h2 id="errors">Errors</h2>
<p>The body is ${inline(ERROR_BODY)}. Every request can meet those of its own transport: a body that does not fit, a key that is missing or not enough, a limit, a shutdown.</p>
${errorTable(document)}</section>
<section class="reference"><h2 id="shapes">Shapes</h2>
${Object.entries(components.schemas).map(
  ([name, schema]) =>
    html`<details class="op" id="${schemaAnchor(name)}"><summary><span class="path">${name}</span></summary><div class="body">${schemaText(schema, components.schemas, "sent")}</div></details>`,
)}</section>
</main>
<script>${script}</script>
</body>
</html>
`;
  return page.toString();
}

const ERROR_BODY = '`{"error": {"code", "message", "request_id"}}`';

interface Group {
  name: string;
  description: string;
  places: Place[];
}

/** The operations of each tag, in the order of the document. */
function groupsOf({ tags, paths }: OpenApiDocument): Group[] {
  const places = Object.entries(paths).flatMap(([path, verbs]) =>
    Object.entries(verbs).map(([verb, operation]): Place => ({ verb: verb.toUpperCase(), path, operation })),
  );
  return tags.map(({ name, description }) => ({ name, description, places: places.filter(({ operation }) => operation.tags.includes(name)) }));
}

function navigation(name: string, places: readonly Place[]): Html {
  const items = places.map(
    ({ verb, path, operation: { operationId } }) =>
      html`<li><a href="#${operationId}"><span class="verb ${verb.toLowerCase()}">${verb}</span> ${breakable(path)}</a></li>`,
  );
  return html`<section><h2><a href="#${anchor(name)}">${name}</a></h2><ul>${items}</ul></section>`;
}

function surface(name: string, description: string, places: readonly Place[], document: OpenApiDocument, base: string): Html {
  const publics = places.some(({ operation }) => operation["x-public"] !== undefined);
  return html`<section class="surface"><h2 id="${anchor(name)}">${name}</h2>
<p>${inline(description)}${publics ? html` <small>* ${inline("No key is needed where `api.public` of the configuration names it.")}</small>` : undefined}</p>
${places.map((place) => operationSection(place, document, base))}
</section>`;
}

function anchor(name: string): string {
  return name.toLowerCase().replace(/\W+/g, "-");
}

/** As a policy names what stands in an element of the page. */
function digest(content: Html): string {
  return `sha256-${createHash("sha256").update(content.toString()).digest("base64")}`;
}
