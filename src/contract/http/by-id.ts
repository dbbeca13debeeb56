import * as z from "zod";
import { Id } from "../model.ts";

/** The path of what is about one session. */
export const ById = z.object({ id: Id.describe("Of the session.") });

/** The query of a list of sessions, page by page. `field`: how the surface calls the id of a session. */
export function sessionPage(field: string) {
  return z.object({
    limit: z.coerce.number<string>().int().min(1).max(1000).optional().describe("100 when left out."),
    after: Id.optional().describe(`The \`${field}\` that ended the page before.`),
  });
}
