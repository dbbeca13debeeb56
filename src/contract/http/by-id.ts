import * as z from "zod";
import { Id } from "../model.ts";

/** The path of what is about one session. */
export const ById = z.object({ id: Id.describe("Of the session.") });
