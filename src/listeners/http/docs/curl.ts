/** An operation as a command for a shell. */
import { JSON_TYPE, STREAM_TYPE } from "../../../generate/openapi/facts.ts";
import type { Operation } from "../../../generate/openapi/document.ts";

export interface Command {
  /** `GET` */
  verb: string;
  path: string;
  operation: Operation;
  /** The body to send. */
  body?: unknown;
  /** Asks for events. */
  isStream: boolean;
}

/** The two halves around the address of the server: `curl -X DELETE `, and the rest. The key is `$KEY`, parameters of the path are variables too. */
export function curl({ verb, path, operation, body, isStream }: Command): { before: string; after: string } {
  const { requestBody, security } = operation;
  const hasBody = body !== undefined || requestBody?.required === true;
  const implied = hasBody ? "POST" : "GET";
  const options = [
    ...(security?.length === 0 ? [] : ['-H "Authorization: Bearer $KEY"']),
    ...(isStream ? [`-H "Accept: ${STREAM_TYPE}"`] : []),
    ...(hasBody ? [`-H "Content-Type: ${JSON_TYPE}"`, body === undefined ? "-d @body.json" : `-d ${quoted(JSON.stringify(body))}`] : []),
  ];
  const address = path.replace(/\{(\w+)\}/g, (_, name: string) => `$${variable(name)}`);
  return {
    before: `curl ${isStream ? "-N " : ""}${verb === implied ? "" : `-X ${verb} `}`,
    after: [address, ...options].join(" \\\n  "),
  };
}

/** `STREAM_ID` of `streamId`. */
function variable(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase();
}

/** One word of a POSIX shell, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
