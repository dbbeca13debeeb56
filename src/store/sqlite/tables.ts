import { Calls } from "./calls.ts";
import type { Connection } from "./connection.ts";
import { Grants } from "./grants.ts";
import { Histories } from "./history.ts";
import { Messages } from "./messages.ts";
import { Owners } from "./owners.ts";
import { Probe } from "./probe.ts";
import { Sessions } from "./sessions.ts";
import { Spendings } from "./spendings.ts";
import { Traces } from "./traces.ts";
import { TurnKeys } from "./turn-keys.ts";
import { Turns } from "./turns.ts";

export interface Tables {
  owners: Owners;
  sessions: Sessions;
  turns: Turns;
  turnKeys: TurnKeys;
  messages: Messages;
  histories: Histories;
  calls: Calls;
  spendings: Spendings;
  grants: Grants;
  traces: Traces;
  probe: Probe;
}

/** All that is in a database of the newest version. */
export function openTables(connection: Connection, now: () => number): Tables {
  const sessions = new Sessions(connection, now);
  const traces = new Traces(connection);
  const messages = new Messages(connection);
  const turnKeys = new TurnKeys(connection, now);
  const turns = new Turns({ connection, sessions, messages, keys: turnKeys, traces, now });
  return {
    owners: new Owners(connection),
    sessions,
    turns,
    turnKeys,
    messages,
    histories: new Histories({ connection, sessions, turns, messages }),
    calls: new Calls(connection, now),
    spendings: new Spendings(connection, sessions),
    grants: new Grants(connection),
    traces,
    probe: new Probe(connection),
  };
}
