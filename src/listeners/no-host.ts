import { Readable } from "node:stream";
import type { ByteSink } from "../rpc/writer.ts";

/** In the place of stdin and stdout where no host is at the other end: nothing ever comes, and what is sent is taken and forgotten. */
export function noHost(): { input: Readable; output: ByteSink } {
  return {
    input: new Readable({ read: () => undefined }),
    output: {
      write: (_text, _encoding, done) => {
        // Later, as a stream does it: the writer counts on that.
        setImmediate(done);
        return true;
      },
    },
  };
}
