import * as z from "zod";

/** What may be left out, or be null, as many clients write what they have nothing for. */
export function optional<S extends z.ZodType>(schema: S) {
  return schema.nullish().transform((value) => value ?? undefined);
}

/** A body with nothing in it that has to be there, and that may be left out itself. */
export function optionalBody<S extends z.core.$ZodLooseShape>(shape: S) {
  const schema = z.object(shape);
  return schema.nullish().transform((body) => body ?? schema.parse({}));
}
