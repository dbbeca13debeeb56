import type { AgentSession, ChatMessage, Spending, TurnStatus } from "../../contract/model.ts";
import type { MessageBody, TurnEnding } from "../store.ts";

export interface Session {
  touched: number;
  owner: string;
  session: AgentSession;
  turns: Map<string, Turn>;
  summaries: Summary[];
  spent: Spending;
}

/** What stands for everything up to a message, and that message itself. */
export interface Summary {
  turnKey: number;
  position: number;
  text: string;
  summarized: number;
  system: ChatMessage | undefined;
}

export interface Turn {
  /** Rises with every turn that is begun. */
  key: number;
  turnId: string;
  traceId: string;
  session: Session | undefined;
  status: TurnStatus;
  given: number;
  /** Outside a session those given are left out. */
  messages: { position: number; body: MessageBody; partial: boolean; createdAt: string }[];
  /** Calls with side effects that have begun and not ended. */
  begun: Set<string>;
  mark: Mark | undefined;
}

/** The idempotency key of a turn, and what is kept for it. */
export interface Mark {
  key: string;
  digest: string;
  streamId: string;
  beganAt: number;
  ending: TurnEnding | undefined;
}
