import { storageFailure } from "../failures.ts";
import { array, type Connection, number } from "./connection.ts";

/** The parts of answers that are still coming. */
export class Fragments {
  private readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  add(turnKey: number, part: { text: string; reasoning: string }, createdAt: number): void {
    // Plain JSON: a surrogate pair that came in two parts is whole again once they are joined.
    this.connection.run("INSERT INTO fragments (turn_key, created_at, body) VALUES (?, ?, ?)", turnKey, createdAt, JSON.stringify([part.text, part.reasoning]));
  }

  /** Undefined when nothing was said. */
  join(turnKey: number): { text: string; reasoning: string; createdAt: number } | undefined {
    const said = { text: "", reasoning: "", createdAt: 0 };
    for (const row of this.connection.all("SELECT created_at, body FROM fragments WHERE turn_key = ? ORDER BY fragment_key", turnKey)) {
      const [text, reasoning] = array(row, "body");
      if (typeof text !== "string" || typeof reasoning !== "string") throw storageFailure("corrupt");
      said.text += text;
      said.reasoning += reasoning;
      said.createdAt = number(row, "created_at");
    }
    return said.text === "" && said.reasoning === "" ? undefined : said;
  }

  forget(turnKey: number): void {
    this.connection.run("DELETE FROM fragments WHERE turn_key = ?", turnKey);
  }
}
