/** The `scenario` of sessions that are made by `POST /sessions`: how many of them may be open is limited. */
export const CONTEXT_SCENARIO = "context";
