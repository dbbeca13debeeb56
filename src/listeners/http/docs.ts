/** The description of the routes, for programs and for people. Made with the first request for it. */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { RawRoute } from "../../contract/http/define.ts";
import { rawRoutes, routes } from "../../contract/http/index.ts";
import { openApiDocument } from "../../generate/openapi.ts";
import { VERSION } from "../../version.ts";
import { docsPage, docsPolicy } from "./docs/page.ts";

type Mount = (route: RawRoute, handler: (request: FastifyRequest, reply: FastifyReply) => unknown) => void;

export function mountDocs(mount: Mount): void {
  let json: string | undefined;
  let page: string | undefined;
  const describe = () => openApiDocument({ routes, rawRoutes: Object.values(rawRoutes), version: VERSION });

  mount(rawRoutes.openapi, (_, reply) => {
    json ??= JSON.stringify(describe());
    return reply.header("content-type", "application/json; charset=utf-8").send(json);
  });
  mount(rawRoutes.docs, (_, reply) => {
    page ??= docsPage(describe());
    return reply.headers({ "content-type": "text/html; charset=utf-8", "content-security-policy": docsPolicy, "referrer-policy": "no-referrer" }).send(page);
  });
}
