import { customAlphabet } from "nanoid";
import type { ToolCall } from "../contract/model.ts";
import type { Failure } from "../errors.ts";
import { isJsonObject, parseJson } from "./json.ts";

/** Whoever is told to answer calls, and is given none, waits for ever. */
export const NO_CALLS: Failure = { kind: "malformed_response", message: "The model server announced tool calls, but sent none that name a tool" };

/** A piece of a call, as servers send them: whole, in fragments, with or without index and id. */
export interface ToolCallFragment {
  index: number | undefined;
  id: string | undefined;
  name: string | undefined;
  argumentsText: string | undefined;
}

/** Assembles the tool calls of one answer. */
export class ToolCallAssembler {
  readonly #calls: OpenCall[] = [];
  #size = 0;

  get isEmpty(): boolean {
    return this.#calls.length === 0;
  }

  /** True once the arguments are larger than any tool takes: the server is not to be trusted any more. */
  get isOverfull(): boolean {
    return this.#size > MOST_CHARACTERS || this.#calls.length > MOST_CALLS;
  }

  add(fragment: ToolCallFragment): void {
    const call = this.#find(fragment) ?? this.#open(fragment);
    call.id ??= fragment.id;
    call.name ??= fragment.name;
    const text = fragment.argumentsText ?? "";
    call.argumentsText += text;
    this.#size += text.length;
  }

  /** The calls in the order of their indexes, each with an id of its own. Those without a name name no tool, and are left out. */
  finish(): ToolCall[] {
    const taken = new Set<string>();
    return this.#calls
      .toSorted((a, b) => a.order - b.order)
      .flatMap(({ id, name, argumentsText }) => {
        if (name === undefined) return [];
        // Two calls with one id could not be answered separately.
        const own = id === undefined || taken.has(id) ? `call_${randomId()}` : id;
        taken.add(own);
        return [{ id: own, name, ...parseArguments(argumentsText) }];
      });
  }

  #find({ index, id, name }: ToolCallFragment): OpenCall | undefined {
    const sameId = id === undefined ? undefined : this.#calls.findLast((call) => call.id === id);
    if (index === undefined) {
      if (sameId !== undefined) return sameId;
      // Without index and id, a name begins a call and anything else goes on with the last one.
      const last = this.#calls.at(-1);
      return id === undefined && (name === undefined || last?.name === undefined) ? last : undefined;
    }
    const sameIndex = this.#calls.findLast((call) => call.index === index);
    // Some servers send several whole calls, all with index 0: another id and a name tell them apart.
    const isAnother = id !== undefined && name !== undefined && sameIndex?.id !== undefined && sameIndex.id !== id;
    return isAnother ? sameId : sameIndex;
  }

  #open({ index }: ToolCallFragment): OpenCall {
    const call: OpenCall = { index, order: index ?? this.#calls.length, id: undefined, name: undefined, argumentsText: "" };
    this.#calls.push(call);
    return call;
  }
}

/** Nothing or white space means no arguments; what is not a JSON object is kept as text. */
export function parseArguments(text: string): Pick<ToolCall, "arguments" | "argumentsText"> {
  if (text.trim() === "") return { arguments: {} };
  const value = parseJson(text);
  return isJsonObject(value) && !isDeeperThan(value, DEEPEST) ? { arguments: value } : { arguments: {}, argumentsText: text };
}

interface OpenCall {
  index: number | undefined;
  order: number;
  id: string | undefined;
  name: string | undefined;
  argumentsText: string;
}

const MOST_CHARACTERS = 16 * 1024 * 1024;
const MOST_CALLS = 10_000;
/** Deeper nesting than this could not be sent on: readers have a limit of 256, and the frame takes some of it. */
const DEEPEST = 200;

/** Without characters that are mistaken for each other. */
const randomId = customAlphabet("23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", 20);

function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((item) => isDeeperThan(item, levels - 1));
}
