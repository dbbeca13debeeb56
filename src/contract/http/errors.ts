import * as z from "zod";

/** The body of every answer that is an error, and the data of the event `error`. */
export const ErrorBody = z
  .object({
    error: z.object({
      code: z.string().describe("For programs; the table of errors says what each means."),
      message: z.string().describe("For people. Holds no secret and no path."),
      request_id: z.string().describe("As in the header `X-Request-Id`."),
    }),
  })
  .describe("What went wrong.");
export type ErrorBody = z.output<typeof ErrorBody>;
